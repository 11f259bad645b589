"use strict";

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function resolve(api, schema) {
  return schema && schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return "list of " + typeOf(schema.items);
  return [].concat(schema.type || "any").join(" | ");
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", {}, text)));
  const body = rows.map((row) => element("tr", {}, ...row.map((text) => element("td", {}, text))));
  return element("table", {}, head, ...body);
}

function fields(api, schema) {
  const known = resolve(api, schema);
  if (!known || !known.properties) return element("p", {}, typeOf(schema));
  const required = new Set(known.required || []);
  return table(["field", "type", "about"], Object.entries(known.properties).map(([name, one]) =>
    [name + (required.has(name) ? " *" : ""), typeOf(one), one.description || ""]));
}

function example(api, schema) {
  const known = resolve(api, schema);
  const blank = { string: "", object: {}, integer: 0, number: 0, boolean: false, array: [] };
  const made = {};
  for (const name of known.required || []) {
    made[name] = blank[[].concat(known.properties[name].type || "object")[0]];
  }
  return JSON.stringify(made, null, 2);
}

function input(name, type, placeholder) {
  return element("input", { name, type, placeholder: placeholder || "" });
}

function trial(api, method, path, operation) {
  const form = element("form");
  for (const one of operation.parameters) {
    form.append(element("label", {}, one.name + " ", input(one.name, "text", one.description)));
  }
  const request = operation.requestBody && operation.requestBody.content["application/json"].schema;
  const body = request && element("textarea", { "aria-label": "body", spellcheck: "false" });
  if (body) {
    body.value = example(api, request);
    form.append(body);
  }
  const output = element("pre", { hidden: "" });
  form.append(element("button", { type: "submit" }, "Send"), output);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, operation, form, body, output);
  });
  return form;
}

async function send(method, path, operation, form, body, output) {
  const query = new URLSearchParams();
  const headers = body ? { "Content-Type": "application/json" } : {};
  let address = path;
  for (const one of operation.parameters) {
    const value = form.elements.namedItem(one.name).value;
    if (one.in === "path") address = address.replace("{" + one.name + "}", encodeURIComponent(value));
    else if (value && one.in === "query") query.set(one.name, value);
    else if (value) headers[one.name] = value;
  }
  const search = query.toString();
  output.hidden = false;
  output.textContent = "…";
  try {
    const answer = await fetch(address + (search ? "?" + search : ""),
      { method: method.toUpperCase(), headers, body: body ? body.value : undefined, credentials: "same-origin" });
    output.textContent = answer.status + " " + answer.statusText + "\n\n" + pretty(await answer.text());
  } catch (error) {
    output.textContent = String(error);
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function call(api, method, path, operation) {
  const box = element("details", {}, element("summary", {},
    element("span", { class: "method " + method }, method.toUpperCase()), element("code", {}, path), " " + operation.summary,
    element("span", { class: "scope" }, operation["x-required-scope"] || "public")));
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  if (content) box.append(element("h4", {}, "Body"), fields(api, content.schema));
  box.append(element("h4", {}, "Answers"), table(["status", "meaning", "body"],
    Object.entries(operation.responses).map(([status, one]) =>
      [status, one.description, Object.values(one.content || {}).map((media) => typeOf(media.schema)).join(", ")])));
  box.append(element("h4", {}, "Try it"), trial(api, method, path, operation));
  return box;
}

function show(api) {
  document.getElementById("about").textContent =
    "Version " + api.info.version + ". Lists, errors and events follow the conventions of /openapi.json.";
  const groups = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags[0];
      if (!groups.has(tag)) groups.set(tag, element("section", {}, element("h2", {}, tag)));
      groups.get(tag).append(call(api, method, path, operation));
    }
  }
  document.getElementById("calls").append(...groups.values());
}

fetch("/openapi.json", { credentials: "same-origin" })
  .then((answer) => answer.json())
  .then(show)
  .catch((error) => { document.getElementById("about").textContent = "Not loaded: " + error; });

%% What OTP's own supervisor does on this machine: the peer of benchmarks/supervision.py. Prints one line of JSON.
-module(beam).
-behaviour(supervisor).
-export([main/2, init/1, start_worker/1, worker/1]).

%% start and stop of N children of a simple_one_for_one supervisor, then crashes among N children of a one_for_one one.
main(Siblings, Crashes) ->
    ok = logger:set_primary_config(level, none),
    {ok, Dynamic} = supervisor:start_link(?MODULE, dynamic),
    {StartUs, _} = timer:tc(fun() -> [{ok, _} = supervisor:start_child(Dynamic, [N]) || N <- lists:seq(1, Siblings)] end),
    {StopUs, _} = timer:tc(fun() -> stop(Dynamic) end),
    true = register(bench, self()),
    {ok, Static} = supervisor:start_link(?MODULE, {static, Siblings}),
    _ = [new(id(N)) || N <- lists:seq(0, Siblings - 1)],
    _ = [crash(id(N * 7919 rem Siblings)) || N <- lists:seq(1, Crashes div 10)],
    Times = lists:sort([crash(id(N * 7919 rem Siblings)) || N <- lists:seq(1, Crashes)]),
    stop(Static),
    io:format("{\"otp\": \"~s\", \"start_s\": ~.4f, \"stop_s\": ~.4f, \"restart_p50_us\": ~.1f, \"restart_p99_us\": ~.1f}~n",
              [erlang:system_info(otp_release), StartUs / 1.0e6, StopUs / 1.0e6, rank(0.50, Times), rank(0.99, Times)]),
    halt(0).

init(dynamic) ->
    {ok, {{simple_one_for_one, 1, 5}, [{a, {?MODULE, start_worker, []}, permanent, 5000, worker, [?MODULE]}]}};
init({static, Siblings}) ->
    Children = [{id(N), {?MODULE, start_worker, [id(N)]}, permanent, 5000, worker, [?MODULE]}
                || N <- lists:seq(0, Siblings - 1)],
    {ok, {{one_for_one, 1000000000, 1}, Children}}.

start_worker(Name) -> {ok, proc_lib:spawn_link(?MODULE, worker, [self_name(Name)])}.

self_name(Name) when is_atom(Name) -> register_me(Name);
self_name(_) -> fun() -> ok end.

register_me(Name) -> fun() -> true = register(Name, self()), bench ! {up, Name, self()} end.

worker(Begin) ->
    process_flag(trap_exit, true),
    Begin(),
    serve().

serve() ->
    receive
        {From, ping} -> From ! pong, serve();
        boom -> exit(boom);
        {'EXIT', _, shutdown} -> exit(shutdown)
    end.

%% From the message that makes it crash until the next one of that name has answered, in microseconds.
crash(Name) ->
    Old = whereis(Name),
    Began = erlang:monotonic_time(nanosecond),
    Old ! boom,
    New = new(Name),
    New ! {self(), ping},
    receive pong -> ok end,
    (erlang:monotonic_time(nanosecond) - Began) / 1000.

new(Name) -> receive {up, Name, New} -> New end.

stop(Supervisor) ->
    unlink(Supervisor),
    Monitor = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Monitor, process, _, _} -> ok end.

id(N) -> list_to_atom("a" ++ integer_to_list(N)).

rank(Share, Sorted) -> lists:nth(max(1, ceil(Share * length(Sorted))), Sorted).

"""Programs of one's own: what a server would be given with DSPEX_PROGRAM_PACKAGES=helpdesk."""

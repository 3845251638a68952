"""Faults on purpose: what a service, a proxy or a network may do to a request, done on demand.

The rooms, as a request walks them: `injector` (an ASGI middleware outside the application) asks
`active` whether an entry of the fault file fires, and then has `answers`, `bodies`, `nullable` and
`lists` make another answer of the application's, or has a line of `connections` (sockets under
uvicorn) or of `inprocess` (httpx without sockets) do what no ASGI application can: close, reset,
hold and refuse connections. `journal` keeps what was received; `admin` shows and changes all of it
while the service runs. `kinds` says which faults there are, `document` reads
the file and `places` finds its lines, `globs` matches paths, `ends` sees whether a client is still there.

Whether a fault strikes is a pure function of the seed, the entry's place in the file and the number
of the request among those that the entry matches: the same requests in the same order meet the same faults.

Not here: the application, the runner (`reconciler.emulator.server`).
"""

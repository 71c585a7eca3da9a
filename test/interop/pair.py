"""Two of slixmpp's clients in one process, for scripts that let them talk and tell as lines what they see; see pair_test.go."""
import asyncio
import os
import ssl
import sys

import slixmpp


def say(*words):
    print("\t".join(str(w) for w in words), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca, plugins):
        super().__init__(jid, password)
        self.ca_certs, self.auto_authorize, self.auto_subscribe = ca, True, True
        self.seen = {}
        for p in plugins.split():
            self.register_plugin("xep_" + p)
        self.started = self.on("session_start")

    def on(self, event):
        """A queue of an event's arguments."""
        if event not in self.seen:
            q = self.seen[event] = asyncio.Queue()
            self.add_event_handler(event, q.put_nowait)
        return self.seen[event]

    async def next(self, event, fits=lambda _: True):
        while True:
            got = await asyncio.wait_for(self.on(event).get(), 20)
            if fits(got):
                return got


async def main(plugins, talk):
    a, b, password, addr, ca = sys.argv[1:6]
    host, port = addr.rsplit(":", 1)
    clients = [Client(j, password, ca, plugins) for j in (a, b)]
    for c in clients:
        c.enable_plaintext, c.enable_direct_tls = False, False
        c.ssl_context.check_hostname, c.ssl_context.verify_mode = True, ssl.CERT_REQUIRED
        c.add_event_handler("failed_auth", lambda e: say("failed", "auth"))
        c.connect(host, int(port))
    try:
        await talk(*clients)
    except Exception as e:
        say("failed", type(e).__name__, e)
        raise
    os._exit(0)


def run(plugins, talk):
    """Logs both in, by the arguments of the script, and lets them talk."""
    asyncio.new_event_loop().run_until_complete(main(plugins, talk))

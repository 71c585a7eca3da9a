"""slixmpp as a client of xmppd. It takes commands as lines and tells what happens as lines; see interop_test.go."""
import asyncio
import os
import ssl
import sys

import slixmpp


class Bot(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca, mech):
        super().__init__(jid, password, sasl_mech=mech or None)
        self.ca_certs = ca
        self.auto_authorize = True
        self.auto_subscribe = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0045")
        self.register_plugin("xep_0198")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0280")
        self.register_plugin("xep_0313")
        self.register_plugin("xep_0359")
        self.register_plugin("xep_0441")
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("failed_auth", lambda e: say("failed", str(e["condition"]) if "condition" in e.values else "auth"))
        self.add_event_handler("connection_failed", lambda e: say("failed", e))
        self.add_event_handler("changed_status", self.on_presence)
        self.add_event_handler("presence_subscribed", lambda p: say("subscribed", p["from"].bare))
        self.add_event_handler("carbon_received", lambda m: self.on_copy("received", m["carbon_received"]))
        self.add_event_handler("carbon_sent", lambda m: self.on_copy("sent", m["carbon_sent"]))
        self.add_event_handler("groupchat_message", lambda m: say("said", m["from"].full, m["body"]))
        self.add_event_handler("groupchat_subject", lambda m: say("subject", m["from"].bare, m["subject"]))
        self.add_event_handler("groupchat_presence", self.on_occupant)
        self.add_event_handler("disconnected", lambda e: say("end"))

    async def on_start(self, _):
        await self.get_roster()
        self.send_presence()
        mech = self["feature_mechanisms"].mech.name
        say("ready", self.boundjid.full, mech, self.socket.version() if hasattr(self.socket, "version") else "-")

    def on_message(self, msg):
        if msg["type"] in ("chat", "normal") and msg["body"]:
            say("message", msg["from"].full, msg["body"])

    def on_copy(self, kind, msg):
        say("copy", kind, msg["from"].full, msg["to"].full, msg["body"], msg["stanza_id"]["id"])

    async def carbons(self):
        await self["xep_0280"].enable()
        say("carbons")

    async def history(self, contact="", how=""):
        """Reads the archive in pages of three."""
        async for m in self["xep_0313"].iterate(with_jid=contact or None, reverse=how == "back", rsm={"max": 3}):
            forwarded = m["mam_result"]["forwarded"]
            say("history", forwarded["stanza"]["from"].bare, forwarded["stanza"]["body"], m["mam_result"]["id"], forwarded["delay"]["stamp"])
        say("history", "end")

    async def archive(self):
        """Tells what the archive says of itself, and what fields a query can have."""
        meta = (await self["xep_0313"].get_archive_metadata())["mam_metadata"]
        say("archive", meta["start"]["id"], meta["end"]["id"])
        form = await self["xep_0313"].get_fields()
        say("fields", *sorted(form.get_fields()))

    async def prefer(self, default, *never):
        await self["xep_0441"].set_preferences(default=default, never=set(never))
        is_default, _, is_never = await self["xep_0441"].get_preferences()
        say("prefs", is_default, *sorted(j.bare for j in is_never))

    async def open(self, room, nick, name):
        """Makes a persistent room, by the form that it gets."""
        presence, *_ = await self["xep_0045"].join_muc_wait(slixmpp.JID(room), nick)
        if 201 not in presence["muc"]["status_codes"]:
            raise ValueError("no new room")
        form = await self["xep_0045"].get_room_config(room)
        form["type"] = "submit"
        form.field["muc#roomconfig_roomname"]["value"] = name
        form.field["muc#roomconfig_persistentroom"]["value"] = True
        await self["xep_0045"].set_room_config(room, form)
        info = await self["xep_0030"].get_info(room)
        say("opened", *[i[3] for i in info["disco_info"]["identities"]], "muc_persistent" in info["disco_info"]["features"])

    async def join(self, room, nick):
        await self["xep_0045"].join_muc_wait(slixmpp.JID(room), nick)
        say("joined", room + "/" + nick)

    async def say(self, room, text):
        self.send_message(mto=room, mbody=text, mtype="groupchat")

    async def topic(self, room, text):
        self["xep_0045"].set_subject(room, text)

    async def kick(self, room, nick):
        await self["xep_0045"].set_role(room, nick, "none", reason="Avaunt!")
        say("kick", "done")

    async def ban(self, room, jid):
        await self["xep_0045"].set_affiliation(room, "outcast", jid=jid)
        say("outcasts", *await self["xep_0045"].get_affiliation_list(room, "outcast"))

    async def log(self, room):
        """Reads the archive of a room in pages of two."""
        async for m in self["xep_0313"].iterate(jid=slixmpp.JID(room), rsm={"max": 2}):
            st = m["mam_result"]["forwarded"]["stanza"]
            if st["body"]:
                say("log", st["from"].full, st["body"])
        say("log", "end")

    def on_occupant(self, p):
        if p["type"] == "unavailable" and 307 in p["muc"]["status_codes"]:
            say("kicked", p["from"].full)

    def on_presence(self, p):
        say("presence", p["from"].full, p["type"])


def say(*words):
    print("\t".join(str(w) for w in words), flush=True)


async def commands(bot):
    reader = asyncio.StreamReader()
    bot.pipe = await asyncio.get_event_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        cmd, *args = line.decode().rstrip("\n").split("\t")
        if cmd == "subscribe":
            bot.send_presence_subscription(pto=args[0])
        elif cmd == "chat":
            bot.send_message(mto=args[0], mbody=args[1], mtype="chat")
        elif cmd == "show":
            bot.send_presence(pshow=args[0])
        elif cmd in ("carbons", "history", "archive", "prefer", "open", "join", "say", "topic", "kick", "ban", "log"):
            try:
                await getattr(bot, cmd)(*args)
            except Exception as e:
                say("failed", cmd, repr(e))
        elif cmd == "quit":
            break
    await bot.disconnect()
    os._exit(0)


def main():
    jid, password, addr, mode, ca, mech = sys.argv[1:7]
    bot = Bot(jid, password, ca, mech)
    host, port = addr.rsplit(":", 1)
    bot.enable_starttls = mode == "starttls"
    bot.enable_direct_tls = mode == "direct"
    bot.enable_plaintext = False
    bot.certfile, bot.keyfile = os.environ.get("XMPPD_CERT"), os.environ.get("XMPPD_KEY")
    bot.ssl_context.check_hostname = True
    bot.ssl_context.verify_mode = ssl.CERT_REQUIRED
    bot.connect(host, int(port))
    bot.task = bot.loop.create_task(commands(bot))  # the loop itself holds tasks weakly
    bot.loop.run_forever()


main()

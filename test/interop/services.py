"""Two of slixmpp's clients use what the server offers beside messages: blocking and reports, commands, push, external services;
see pair_test.go."""
from xml.etree import ElementTree as ET

import slixmpp

from pair import run, say

PLUGINS = "0004 0030 0050 0191 0199 0377"
PUSH, BLOCKED = "urn:xmpp:push:0", "{urn:xmpp:blocking:errors}blocked"


async def refused(iq):
    """The condition that a request is refused with, and the whole answer."""
    try:
        await iq.send()
    except slixmpp.exceptions.IqError as e:
        return e.iq["error"]["condition"], e.iq.xml
    return None, None


async def talk(alice, bob):
    for c in (alice, bob):
        for e in ("blocked", "unblocked", "message", "message_error"):
            c.on(e)
        await c.next("session_start")
        await c.get_roster()
        c.send_presence()
    me, other = alice.boundjid.bare, bob.boundjid.bare
    # Blocking, with a report of why.
    jids = await alice["xep_0191"].get_blocked_jids()
    if not jids:
        say("ok", "an empty block list")
    iq = alice.make_iq_set()
    item = ET.SubElement(ET.SubElement(iq.xml, "{urn:xmpp:blocking}block"), "{urn:xmpp:blocking}item", jid=other)
    ET.SubElement(item, "{urn:xmpp:reporting:1}report", reason="urn:xmpp:reporting:spam")
    await iq.send()
    if {str(j) for j in await alice["xep_0191"].get_blocked_jids()} == {other}:
        say("ok", "blocked and reported")
    await alice.next("blocked")
    say("ok", "a push of what is blocked")
    condition, answer = await refused(ping(alice, bob.boundjid.full))
    if condition == "not-acceptable" and answer.find(".//" + BLOCKED) is not None:
        say("ok", "nothing goes to who is blocked")
    if (await refused(ping(bob, alice.boundjid.full)))[0] == "service-unavailable":
        say("ok", "who is blocked finds nobody")
    bob.send_message(mto=me, mbody="while blocked", mtype="chat")
    if (await bob.next("message_error"))["error"]["condition"] == "service-unavailable":
        say("ok", "his messages come back")
    await alice["xep_0191"].unblock(other)
    await alice.next("unblocked")
    bob.send_message(mto=me, mbody="after it", mtype="chat")
    if (await alice.next("message"))["body"] == "after it":
        say("ok", "unblocked")
    # Commands: the invitation of a contact (XEP-0401).
    found = await alice["xep_0050"].get_commands(other.split("@")[1])
    nodes = {i[1] for i in found["disco_items"]["items"]}
    if "urn:xmpp:invite#invite" in nodes and not any("admin" in n for n in nodes):
        say("ok", "commands of a user")
    got = await alice["xep_0050"].send_command(me.split("@")[1], "urn:xmpp:invite#invite")
    uri = got["command"]["form"].get_values().get("uri", "")
    if got["command"]["status"] == "completed" and uri.startswith("xmpp:" + me + "?roster;"):
        say("ok", "an invitation")
    # Push (XEP-0357): slixmpp has no plugin for it.
    if PUSH in (await alice["xep_0030"].get_info(me))["disco_info"]["features"]:
        say("ok", "push is offered")
    iq = alice.make_iq_set()
    ET.SubElement(iq.xml, "{%s}enable" % PUSH, jid="push.test", node="n1")
    await iq.send()
    iq = alice.make_iq_set()
    ET.SubElement(iq.xml, "{%s}disable" % PUSH, jid="push.test", node="n1")
    await iq.send()
    say("ok", "push is registered")
    # External services (XEP-0215): this server has one.
    iq = alice.make_iq_get(ito=me.split("@")[1])
    ET.SubElement(iq.xml, "{urn:xmpp:extdisco:2}services")
    got = (await iq.send()).xml.find(".//{urn:xmpp:extdisco:2}service")
    if got is not None and got.get("type") == "turn" and got.get("password") and got.get("expires"):
        say("ok", "credentials of a relay")
    say("end")


def ping(client, to):
    iq = client.make_iq_get(ito=to)
    ET.SubElement(iq.xml, "{urn:xmpp:ping}ping")
    return iq


run(PLUGINS, talk)

"""Two of slixmpp's clients publish about themselves, by the plugins that it has for that, and tell what they see of each other as
lines; see pair_test.go."""
import hashlib
from xml.etree import ElementTree as ET

import slixmpp

from pair import run, say

PNG = b"\x89PNG\r\n\x1a\n a picture"
OTHER = b"GIF89a another"
PLUGINS = "0030 0049 0054 0060 0084 0107 0115 0118 0153 0163 0172 0222 0223 0402 0490"
DEVICES = "eu.siacs.conversations.axolotl.devicelist"


def options(**fields):
    f = slixmpp.plugins.xep_0004.Form()
    f["type"] = "submit"
    f.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    for k, v in fields.items():
        f.add_field(var="pubsub#" + k, value=v)
    return f


async def talk(alice, bob):
    for c in (alice, bob):
        for e in ("user_mood_publish", "user_tune_publish", "user_nick_publish", "avatar_metadata_publish", "message_displayed_synchronization_publish", "presence_subscribed"):
            c.on(e)
        await c.next("session_start")
        await c.get_roster()
        c.send_presence()
    me = alice.boundjid.bare
    info = await alice["xep_0030"].get_info(me)
    identities, features = {i[:2] for i in info["disco_info"]["identities"]}, info["disco_info"]["features"]
    for f in ("publish-options", "auto-create", "persistent-items", "config-node-max"):
        if "http://jabber.org/protocol/pubsub#" + f not in features:
            say("missing", f)
    if ("pubsub", "pep") in identities:
        say("ok", "disco")
    # The last item reaches who is let see it, and news do.
    await alice["xep_0107"].publish_mood("happy", "it works")
    bob.send_presence_subscription(pto=me, ptype="subscribe")
    await bob.next("presence_subscribed")
    got = await bob.next("user_mood_publish")
    item = got["pubsub_event"]["items"]["item"]
    if item["mood"]["value"] == "happy" and got["from"] == me:
        say("ok", "mood, sent last")
    await alice["xep_0107"].publish_mood("sad", None)
    await bob.next("user_mood_publish", lambda m: m["pubsub_event"]["items"]["item"]["mood"]["value"] == "sad")
    await alice.next("user_mood_publish", lambda m: m["pubsub_event"]["items"]["item"]["mood"]["value"] == "sad")
    say("ok", "mood, own device too")
    await alice["xep_0118"].publish_tune(artist="Gerald Finzi", title="Introduction")
    got = await bob.next("user_tune_publish")
    if got["pubsub_event"]["items"]["item"]["tune"]["artist"] == "Gerald Finzi":
        say("ok", "tune")
    await alice["xep_0172"].publish_nick("Ally")
    got = await bob.next("user_nick_publish")
    if got["pubsub_event"]["items"]["item"]["nick"]["nick"] == "Ally":
        say("ok", "nickname")
    # Avatars, both ways.
    digest = alice["xep_0084"].generate_id(PNG)
    await alice["xep_0084"].publish_avatar(PNG)
    await alice["xep_0084"].publish_avatar_metadata({"id": digest, "type": "image/png", "bytes": len(PNG)})
    got = await bob.next("avatar_metadata_publish")
    result = await bob["xep_0084"].retrieve_avatar(me, got["pubsub_event"]["items"]["item"]["id"])
    if result["pubsub"]["items"]["item"]["avatar_data"]["value"] == PNG:
        say("ok", "avatar")
    vcard = await bob["xep_0054"].get_vcard(me, cached=False)
    if vcard["vcard_temp"]["PHOTO"]["BINVAL"] == PNG:
        say("ok", "avatar in vCard")
    await alice["xep_0153"].set_avatar(avatar=OTHER, mtype="image/gif")
    digest = hashlib.sha1(OTHER).hexdigest()
    await bob.next("avatar_metadata_publish", lambda m: m["pubsub_event"]["items"]["item"]["id"] == digest)
    say("ok", "picture of a vCard as avatar")
    await bob.next("vcard_avatar_update", lambda p: p["vcard_temp_update"]["photo"] == digest)
    say("ok", "hash in presence")
    # What is for the own devices.
    await alice["xep_0490"].flag_chat(bob.boundjid.bare, "id-1")
    got = await alice["xep_0490"].catch_up()
    if [i["displayed"]["stanza_id"]["id"] for i in got["pubsub"]["items"]] == ["id-1"]:
        say("ok", "displayed")
    room = ET.fromstring("<conference xmlns='urn:xmpp:bookmarks:1' name='Room' autojoin='true'><nick>A</nick></conference>")
    await alice["xep_0060"].publish(me, "urn:xmpp:bookmarks:1", id="room@muc.test", payload=room, options=options(
        persist_items="true", max_items="max", send_last_published_item="never", access_model="whitelist"))
    iq = alice.make_iq_get()
    query = ET.fromstring("<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>")
    iq.append(query)
    got = await iq.send()
    old = got.xml.find(".//{storage:bookmarks}conference")
    if old is not None and old.get("jid") == "room@muc.test" and old.get("autojoin") == "true":
        say("ok", "bookmarks for older clients")
    for node in ("urn:xmpp:bookmarks:1", "storage:bookmarks", "urn:xmpp:mds:displayed:0"):
        try:
            await bob["xep_0060"].get_items(me, node)
            say("leak", node)
        except slixmpp.exceptions.IqError as e:
            if e.iq["error"]["condition"] != "not-allowed":
                say("odd", node, e.iq["error"]["condition"])
    # Keys that strangers need (XEP-0384 as clients speak it today).
    devices = ET.fromstring("<list xmlns='eu.siacs.conversations.axolotl'><device id='1'/></list>")
    await alice["xep_0060"].publish(me, DEVICES, id="current", payload=devices, options=options(access_model="open", persist_items="true"))
    bob.send_presence_subscription(pto=me, ptype="unsubscribe")
    got = await bob["xep_0060"].get_items(me, DEVICES)
    if got.xml.find(".//{eu.siacs.conversations.axolotl}device") is not None:
        say("ok", "device list, to a stranger")
    # Nodes and their configuration.
    await alice["xep_0060"].create_node(None, "urn:example:n")
    form = (await alice["xep_0060"].get_node_config(me, "urn:example:n"))["pubsub_owner"]["configure"]["form"]
    form["type"] = "submit"
    form.field["pubsub#max_items"]["value"] = "7"
    await alice["xep_0060"].set_node_config(me, "urn:example:n", form)
    form = (await alice["xep_0060"].get_node_config(me, "urn:example:n"))["pubsub_owner"]["configure"]["form"]
    if form.get_values()["pubsub#max_items"] == "7":
        say("ok", "configuration")
    nodes = await alice["xep_0060"].get_nodes(me)
    if "urn:example:n" in {i[1] for i in nodes["disco_items"]["items"]}:
        say("ok", "list of nodes")
    await alice["xep_0060"].delete_node(me, "urn:example:n")
    say("end")


run(PLUGINS, talk)

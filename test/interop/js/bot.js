// @xmpp/client as a client of xmppd. It takes commands as lines and tells what happens as lines; see ../interop_test.go.
// With $XMPPD_FAST it keeps its id and its FAST token in that file, as an app does (XEP-0388 §2.3, XEP-0484).
import { readFileSync, writeFileSync } from "node:fs";
import readline from "node:readline";
import { client, xml } from "@xmpp/client";

const [jid, password, addr, mode] = process.argv.slice(2);
const [bare, resource] = jid.split("/");
const [username, domain] = bare.split("@");
const say = (...words) => console.log(words.join("\t"));

const file = process.env.XMPPD_FAST;
let kept = {};
try {
  kept = JSON.parse(readFileSync(file));
} catch {
  kept.id = crypto.randomUUID();
}

const xmpp = client({
  service: `${mode === "direct" ? "xmpps" : "xmpp"}://${addr}`,
  domain,
  resource,
  username,
  password,
  userAgent: xml("user-agent", { id: kept.id }, xml("software", {}, "bot.js")),
});
if (file) {
  xmpp.fast.fetchToken = async () => kept.token;
  xmpp.fast.saveToken = async (token) => {
    kept.token = token;
    writeFileSync(file, JSON.stringify(kept));
    say("token", token.mechanism);
  };
  xmpp.fast.deleteToken = async () => {
    kept.token = null;
    say("no token");
  };
}
xmpp.reconnect.stop();

xmpp.on("error", (err) => say("failed", String(err)));
xmpp.on("offline", () => say("end"));
xmpp.on("online", async (address) => {
  // @xmpp/client is online before it has read that stream management is on: what it sends at once it does not count.
  await new Promise(setImmediate);
  await xmpp.iqCaller.get(xml("query", "jabber:iq:roster"));
  await xmpp.send(xml("presence"));
  say("ready", address.toString(), "-", "-");
});
const MUC = "http://jabber.org/protocol/muc";
xmpp.on("stanza", (st) => {
  const kind = st.attrs.type === "groupchat" ? "said" : "message";
  if (st.is("message") && st.getChildText("body")) say(kind, st.attrs.from, st.getChildText("body"));
  else if (st.is("message") && st.getChild("subject")) say("subject", st.attrs.from.split("/")[0], st.getChildText("subject"));
  const codes = st.getChild("x", MUC + "#user")?.getChildren("status").map((s) => s.attrs.code) ?? [];
  if (st.is("presence") && codes.includes("307")) say("kicked", st.attrs.from);
  else if (st.is("presence") && codes.includes("110")) say("joined", st.attrs.from);
  if (!st.is("presence")) return;
  switch (st.attrs.type) {
    case "subscribe":
      xmpp.send(xml("presence", { to: st.attrs.from, type: "subscribed" }));
      break;
    case "subscribed":
      say("subscribed", st.attrs.from);
      break;
    case undefined:
    case "unavailable":
      say("presence", st.attrs.from, st.attrs.type ?? st.getChildText("show") ?? "available");
  }
});

const input = readline.createInterface({ input: process.stdin });
input.on("line", async (line) => {
  const [cmd, ...args] = line.split("\t");
  if (cmd === "subscribe") await xmpp.send(xml("presence", { to: args[0], type: "subscribe" }));
  if (cmd === "chat") await xmpp.send(xml("message", { to: args[0], type: "chat" }, xml("body", {}, args[1])));
  if (cmd === "show") await xmpp.send(xml("presence", {}, xml("show", {}, args[0])));
  if (cmd === "join") await xmpp.send(xml("presence", { to: `${args[0]}/${args[1]}` }, xml("x", { xmlns: MUC })));
  if (cmd === "say") await xmpp.send(xml("message", { to: args[0], type: "groupchat" }, xml("body", {}, args[1])));
  if (cmd === "quit") {
    await xmpp.stop();
    process.exit(0);
  }
});

await xmpp.start().catch((err) => say("failed", String(err)));

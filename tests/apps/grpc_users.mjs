// Users of gRPC's client for Node, each of whom does what a line on standard input says, and answers with a line of JSON.
//   node grpc_users.mjs [AUTHORITY]      lines: {"user": NAME, "does": DEED, ...}; AUTHORITY: by TLS, and who may sign
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Metadata, credentials, status } from '@grpc/grpc-js';
import { Calls, SESSION } from './calls.mjs';

const [authority] = process.argv.slice(2);
const secured = authority ? credentials.createSsl(readFileSync(authority)) : credentials.createInsecure();
const users = new Map();  // name: client, metadata, call
const word = Object.fromEntries(Object.entries(status).map(([name, code]) => [code, name]));
const ended = ({ code, details = '', metadata }) => ({
  code: word[code], details, trailers: Object.fromEntries(Object.entries(metadata?.getMap() ?? {}).map(([name, value]) => [name, String(value)])),
});

// One call: `heard` are its answers, `over` is how it ended.
function begin({ client, metadata }, kind, text, milliseconds) {
  const options = milliseconds ? { deadline: Date.now() + milliseconds } : {};
  const heard = [];
  const waiting = [];
  const hear = (answer) => { (waiting.shift() ?? ((one) => heard.push(one)))(answer); };
  const { requestStream, responseStream } = Calls.service[kind];
  const first = requestStream ? [] : [{ text }];
  const callback = (error, answer) => { if (answer) hear(answer); };
  const call = client[kind](...first, metadata, options, ...(responseStream ? [] : [callback]));
  if (requestStream && text) call.write({ text });
  if (responseStream) call.on('data', hear).on('error', () => {});
  const over = new Promise((resolve) => { call.on('status', (what) => resolve(ended(what))); });
  over.then((how) => waiting.splice(0).forEach((one) => one(how)));
  const head = new Promise((resolve) => { call.on('metadata', resolve); });
  const next = () => (heard.length ? heard.shift() : new Promise((resolve) => { waiting.push(resolve); }));
  return { call, over, head, heard, next };
}

const deeds = {
  // `shares`: its connection with all who do as well.
  open(name, { at, client, shares = false }) {
    users.get(name)?.client.close();
    const options = { 'grpc.use_local_subchannel_pool': shares ? 0 : 1 };
    const metadata = new Metadata();
    metadata.set('x-forwarded-for', client);
    users.set(name, { client: new Calls(at, secured, options), metadata });
  },
  async logIn(name) {
    const user = users.get(name);
    const { head, over, heard } = begin(user, 'LogIn', name);
    const [metadata] = [await head, await over];
    user.metadata.set(SESSION, metadata.get(SESSION)[0]);
    return heard[0];
  },
  // A whole call.
  async call(name, { kind, texts, deadline }) {
    const streams = Calls.service[kind].requestStream;
    const { call, over, heard } = begin(users.get(name), kind, streams ? '' : texts.join(' '), deadline);
    if (streams) texts.forEach((text) => call.write({ text }));
    if (streams) call.end();
    return { ...await over, answers: heard };
  },
  look: (name, { text = '' }) => new Promise((resolve) => {
    users.get(name).client.Look({ text }, (error, seen) => resolve(error ? { failed: String(error) } : seen));
  }),
  // A call in steps.
  begin(name, { kind, text, deadline }) { Object.assign(users.get(name), { under: begin(users.get(name), kind, text, deadline) }); },
  say(name, { text }) { users.get(name).under.call.write({ text }); },
  hear: (name) => users.get(name).under.next(),
  cancel(name) { users.get(name).under.call.cancel(); return users.get(name).under.over; },
  over: (name) => users.get(name).under.over,
  end(name) { users.get(name).under.call.end?.(); return users.get(name).under.over; },
  // Calls of one user until it is told to stop, `atOnce` at a time: how many ended how.
  load(name, { atOnce }) {
    const user = users.get(name);
    user.loads = true;
    user.ends = {};
    const one = async () => {
      while (user.loads) {
        const { code } = await begin(user, 'Once', 'x').over;
        user.ends[code] = (user.ends[code] ?? 0) + 1;
      }
    };
    user.load = Promise.all(Array.from({ length: atOnce }, one));
  },
  ends: (name) => users.get(name).ends,
  async stop(name) {
    users.get(name).loads = false;
    await users.get(name).load;
    return users.get(name).ends;
  },
  // So many streams at once, each of which is answered twice before the first one ends: how many were, and ended well.
  crowd(name, { streams }) {
    users.get(name).crowd = Array.from({ length: streams }, (_, index) => begin(users.get(name), 'Talk', `${index}`));
  },
  async crowdEnds(name) {
    const { crowd } = users.get(name);
    const answers = await Promise.all(crowd.map(({ next }) => next()));
    crowd.forEach(({ call }, index) => call.write({ text: `again ${index}` }));
    const again = await Promise.all(crowd.map(({ next }) => next()));
    crowd.forEach(({ call }) => call.end());
    const ends = await Promise.all(crowd.map(({ over }) => over));
    const good = (_, index) => answers[index].text === `${index}` && again[index].text === `again ${index}` && ends[index].code === 'OK';
    return { good: crowd.filter(good).length };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { user, does, ...given } = JSON.parse(line);
  const answer = await Promise.resolve(deeds[does](user, given)).catch((error) => ({ failed: String(error) }));
  console.log(JSON.stringify(answer ?? {}));
}
process.exit(0);

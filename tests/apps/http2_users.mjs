// Users of Node's client for HTTP/2, and of its fetch, which speaks HTTP/1.1: each does what a line on standard input says.
//   node http2_users.mjs      lines: {"user": NAME, "does": DEED, ...}; by TLS whom NODE_EXTRA_CA_CERTS says is trusted
import { once } from 'node:events';
import { connect } from 'node:http2';
import { createInterface } from 'node:readline';

const users = new Map();  // name: session, and requests that are under way

// One request; `pieces` are those of its answer's body as they came. A cookie is kept, and sent from then on.
function byHttp2(user, { path, method = 'GET', fields = {}, body, trailers }) {
  const options = { endStream: body === undefined, waitForTrailers: Boolean(trailers) };
  const stream = user.session.request({ ':path': path, ':method': method, ...user.fields, ...fields }, options);
  const told = { interim: [], pieces: [], trailers: {} };
  stream.on('headers', (head) => told.interim.push(head));
  stream.on('response', (head) => {
    told.head = head;
    if (head['set-cookie']) [user.fields.cookie] = head['set-cookie'][0].split(';');
  });
  stream.on('error', () => {});
  stream.on('trailers', (lines) => { told.trailers = lines; });
  if (trailers) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  if (body !== undefined) stream.end(Buffer.from(body, 'latin1'));
  const begun = new Promise((resolve) => {
    stream.on('data', (piece) => { told.pieces.push(piece); resolve(); });
  });
  const over = once(stream, 'close').then(() => {
    const { head, pieces, ...rest } = told;
    return { status: head?.[':status'], head, body: text(pieces), ended: stream.rstCode, ...rest };
  });
  return { told, begun, over };
}

function byFetch({ url, fields: own }, { path, method = 'GET', fields = {}, body }) {
  const told = { pieces: [] };
  const asked = fetch(url + path, { method, headers: { ...own, ...fields }, body: body && Buffer.from(body, 'latin1') });
  let begins;
  const begun = new Promise((resolve) => { begins = resolve; });
  const over = asked.then(async (answer) => {
    for await (const piece of answer.body) {
      told.pieces.push(Buffer.from(piece));
      begins();
    }
    return { status: answer.status, head: Object.fromEntries(answer.headers), body: text(told.pieces) };
  });
  return { told, begun, over };
}

const text = (pieces) => Buffer.concat(pieces).toString('latin1');
const ask = (user, { by, ...given }) => (by === 'fetch' ? byFetch : byHttp2)(user, given);

const deeds = {
  async connect(name, { url, fields }) {
    const session = connect(url);
    session.on('error', () => {});
    await once(session, 'connect');
    const user = { url, fields, session, goaways: 0, closed: false };
    session.on('goaway', () => { user.goaways += 1; });
    session.on('close', () => { user.closed = true; });
    users.set(name, user);
  },
  ask: (name, given) => ask(users.get(name), given).over,
  // So many at once, `{}` in their paths being their numbers.
  begin(name, { count, path, ...given }) {
    const one = (_, index) => ask(users.get(name), { path: path.replace('{}', index), ...given });
    users.get(name).under = Array.from({ length: count }, one);
  },
  // What of the first one's body has come, once something has.
  async first(name) {
    const { told, begun } = users.get(name).under[0];
    await begun;
    return { body: text(told.pieces) };
  },
  end: async (name) => ({ answers: await Promise.all(users.get(name).under.map(({ over }) => over)) }),
  // One after the other, `atOnce` lines of them side by side: the answers that are not what was asked.
  async load(name, { count, atOnce, path, ...given }) {
    let next = 0;
    const bad = [];
    const line = async () => {
      while (next < count) {
        const body = `body ${next}`;
        const answer = await ask(users.get(name), { ...given, method: 'POST', path: path.replace('{}', next++), body }).over;
        if (answer.status !== 200 || answer.body !== body) bad.push(answer);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, line));
    return { bad };
  },
  // Takes no more, and finishes what it has.
  close(name) { users.get(name).session.close(); },
  look(name) { const { goaways, closed } = users.get(name); return { goaways, closed }; },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { user, does, ...given } = JSON.parse(line);
  const answer = await Promise.resolve().then(() => deeds[does](user, given)).catch((error) => ({ failed: String(error.cause ?? error) }));
  console.log(JSON.stringify(answer ?? {}));
}
process.exit(0);

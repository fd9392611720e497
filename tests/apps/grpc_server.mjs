// A gRPC server that keeps its sessions in memory, and says by grpc.health.v1 how it is.
//   node grpc_server.mjs NAME PORT TLS_PORT CERTIFICATE KEY
// A call with the text "wait" is not answered, or not any further, until it is cancelled; one with "fail" fails.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { Calls, SESSION } from './calls.mjs';

const [name, port, tlsPort, certificate, key] = process.argv.slice(2);
const health = new HealthImplementation({ '': 'SERVING' });
const sessions = new Map();  // id: user and calls
const seen = { open: 0, cancelled: 0, limited: 0 };

// What is said of the session whose call this is; of nobody's, where it says no session.
function answerer(call) {
  const [id] = call.metadata.get(SESSION);
  const session = id ? sessions.get(id) : { user: '', calls: 0 };
  if (session) session.calls += 1;
  return session && ((text) => ({ server: name, ...session, text }));
}

const trailers = new Metadata();
trailers.set('x-server', name);
trailers.set('x-octets-bin', Buffer.from([0, 1, 254, 255]));
const failure = { code: status.FAILED_PRECONDITION, details: 'not 100 % grün', metadata: trailers };
const stranger = { code: status.UNAUTHENTICATED, details: `not known to ${name}` };

// Of a kind of call: `answer(call, say, end)`, where `end` takes an error, if there is one, or what is answered last.
const serve = (answer) => (call, callback) => {
  seen.open += 1;
  let over = false;
  const leave = () => { if (!over) seen.open -= 1; over = true; };
  call.on('cancelled', () => { seen.cancelled += 1; leave(); });
  if (call.getDeadline() !== Infinity) seen.limited += 1;
  const say = answerer(call);
  const end = (error, last) => {
    leave();
    if (callback) return callback(error, last, trailers);
    return error ? call.emit('error', error) : call.end(trailers);
  };
  if (!say) return end(stranger);
  return answer(call, say, end);
};

const server = new Server();
health.addToServer(server);
server.addService(Calls.service, {
  LogIn(call, callback) {
    const id = randomUUID();
    sessions.set(id, { user: call.request.text, calls: 0 });
    const metadata = new Metadata();
    metadata.set(SESSION, id);
    call.sendMetadata(metadata);
    callback(null, { server: name, user: call.request.text });
  },
  Look(call, callback) {
    if (call.request.text) health.setStatus('', call.request.text);
    callback(null, seen);
  },
  Once: serve(({ request: { text } }, say, end) => {
    if (text === 'fail') end(failure);
    else if (text !== 'wait') end(null, say(text));
  }),
  Gather: serve((call, say, end) => {
    const texts = [];
    call.on('data', ({ text }) => texts.push(text));
    call.on('end', () => { if (!texts.includes('wait')) end(null, say(texts.join(' '))); });
  }),
  Tell: serve(async (call, say, end) => {
    const { text } = call.request;
    for (const word of text.split(' ')) {
      if (word === 'fail') return end(failure);
      if (word === 'wait') return undefined;
      await new Promise((resolve) => { call.write(say(word), resolve); });
    }
    return end();
  }),
  Talk: serve((call, say, end) => {
    let waits = false;
    call.on('data', ({ text }) => {
      waits ||= text === 'wait';
      if (text === 'fail') end(failure);
      else if (!waits) call.write(say(text));
    });
    call.on('end', () => { if (!waits) end(); });
  }),
});

const bind = promisify(server.bindAsync.bind(server));
const pair = { cert_chain: readFileSync(certificate), private_key: readFileSync(key) };
await bind(`127.0.0.1:${tlsPort}`, ServerCredentials.createSsl(null, [pair]));
await bind(`127.0.0.1:${port}`, ServerCredentials.createInsecure());

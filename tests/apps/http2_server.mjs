// A server by Node's http2, in cleartext, and by TLS, where it speaks HTTP/1.1 as well. It says what came by which path:
//   node http2_server.mjs NAME PORT TLS_PORT CERTIFICATE KEY STREAMS      STREAMS: that a connection may have
import { readFileSync } from 'node:fs';
import { constants, createSecureServer, createServer } from 'node:http2';
import { buffer } from 'node:stream/consumers';

const [name, port, tlsPort, certificate, key, streams] = process.argv.slice(2);
const answered = new Map();  // path: how often
let held = [];               // what answers those that are held

const paths = {
  '': (request, response) => response.end(),
  // What came goes back.
  async echo(request, response) {
    const body = await buffer(request);
    response.setHeader('content-type', request.headers['content-type'] ?? 'application/octet-stream');
    response.setHeader('x-fields', JSON.stringify(request.headers));
    if (Object.keys(request.trailers).length) response.addTrailers(request.trailers);
    response.end(body);
  },
  // In two pieces, of which the second one is sent once the first has been released.
  async stream(request, response) {
    const body = await buffer(request);
    response.setHeader('content-type', request.headers['content-type']);
    response.write(body.subarray(0, body.length / 2));
    held.push(() => response.end(body.subarray(body.length / 2)));
  },
  who: (request, response) => response.end(name),
  hints(request, response) {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.end(name);
  },
  held: (request, response) => held.push(() => response.end(name)),
  waiting: (request, response) => response.end(String(held.length)),
  release(request, response) {
    held.splice(0).forEach((answer) => answer());
    response.end();
  },
  // Refused for the first time.
  refused(request, response, times) {
    if (times === 1) request.stream.close(constants.NGHTTP2_REFUSED_STREAM);
    else response.end(name);
  },
  // Each tenth one ends its session.
  async goes(request, response) {
    const body = await buffer(request);
    if (answered.size % 10 === 0) request.stream.session.close();
    setTimeout(() => response.end(body), 2);
  },
  // How often this path was asked for.
  asked: (request, response) => response.end(JSON.stringify(Object.fromEntries(answered))),
};

async function serve(request, response) {
  const [, path] = request.url.split(/[/?]/);
  const times = (answered.get(request.url) ?? 0) + 1;
  answered.set(request.url, times);
  await paths[path](request, response, times);
}

const settings = { maxConcurrentStreams: Number(streams) };
createServer({ settings }, serve).listen(Number(port), '127.0.0.1', 1024);
const pair = { cert: readFileSync(certificate), key: readFileSync(key) };
createSecureServer({ ...pair, settings, allowHTTP1: true }, serve).listen(Number(tlsPort), '127.0.0.1', 1024);

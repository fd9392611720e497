// An Express application that keeps its sessions in express-session's MemoryStore, as most begin.
//   node express_app.mjs NAME PORT [OPTIONS [TRUST [TLS_PORT CERTIFICATE KEY]]]
// OPTIONS: of express-session, as JSON; TRUST: the proxies that are believed, as JSON
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import express from 'express';
import session from 'express-session';

const [name, port, options = '{}', trust = 'null', tlsPort, certificate, key] = process.argv.slice(2);
process.env.NODE_ENV = 'test';  // MemoryStore warns in production

const app = express();
if (JSON.parse(trust)) app.set('trust proxy', JSON.parse(trust));
app.get('/healthz', (request, response) => response.send('ok'));
app.use(session({ secret: 'the same on every server', resave: false, saveUninitialized: false, ...JSON.parse(options) }));

app.get('/basket', (request, response) => {
  request.session.basket = (request.session.basket ?? 0) + 1;
  response.json({ basket: request.session.basket, server: name });
});

app.all('/login', (request, response, next) => {
  request.session.regenerate((error) => {  // a new id at login, against fixation
    if (error) return next(error);
    Object.assign(request.session, { user: request.query.user, visits: 0 });
    response.json({ user: request.query.user, server: name });
  });
});

app.get('/whoami', (request, response) => {
  const { user = null } = request.session;
  if (!user) return response.status(401).json({ user, server: name, visits: 0 });
  request.session.visits += 1;
  response.json({ user, server: name, visits: request.session.visits });
});

app.get('/logout', (request, response, next) => {
  request.session.destroy((error) => {
    if (error) return next(error);
    response.clearCookie('connect.sid').json({ user: null, server: name });
  });
});

// What the application takes the request for.
app.get('/here', (request, response) => {
  request.session.basket ??= 0;
  response.json({ scheme: request.protocol, secure: request.secure, client: request.ip });
});

// A session's streams of events: what it is told, if it is told anything, and how many streams this server has.
const streams = new Map();  // response -> the session's id

app.get('/events', (request, response) => {
  response.type('text/event-stream').flushHeaders();
  streams.set(response, request.sessionID);
  response.on('close', () => streams.delete(response));
});

app.get('/tell', (request, response) => {
  const { what } = request.query;
  for (const [stream, session] of streams) if (what && session === request.sessionID) stream.write(`data: ${what}\n\n`);
  response.json({ streams: streams.size });
});

app.listen(Number(port), '127.0.0.1', 1024);
if (tlsPort) createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, app).listen(Number(tlsPort), '127.0.0.1', 1024);

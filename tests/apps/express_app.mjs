// An Express application that keeps its sessions in express-session's MemoryStore, as most begin.
//   node express_app.mjs NAME PORT [OPTIONS]    OPTIONS: of express-session, as JSON
import express from 'express';
import session from 'express-session';

const [name, port, options = '{}'] = process.argv.slice(2);
process.env.NODE_ENV = 'test';  // MemoryStore warns in production

const app = express();
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

app.listen(Number(port), '127.0.0.1', 1024);

// A token endpoint that says yes to everybody, and whatever a test orders:
//
//     GET    /control/requests                               every answered token request so far: {form, status}
//     POST   /control/orders {status, body, changes, count}  answer so many (null: all) with that status and body;
//                                                            a body of null: the good answer with `changes` in it
//     DELETE /control/orders                                 say yes again
//     POST   /control/keys {alg}                             sign with a new key from now on
//     POST   /control/tokens claims                          a token with these claims, signed with the newest key

import { OAuth2Issuer, OAuth2Service } from 'oauth2-mock-server';

import { Orders, text } from './orders.mjs';
import { serve } from './serve.mjs';

serve(async (url) => {
  const issuer = new OAuth2Issuer();
  issuer.url = url;
  let newest = await issuer.keys.generate('ES256');
  const service = new OAuth2Service(issuer);
  const control = {
    ...controlOf(service),
    'POST /control/keys': async (body) => {
      newest = await issuer.keys.generate(JSON.parse(body).alg);
    },
    'POST /control/tokens': async (body) => {
      const scopesOrTransform = (_header, payload) => Object.assign(payload, JSON.parse(body));
      return { token: await issuer.buildToken({ kid: newest.kid, scopesOrTransform }) };
    },
  };
  return async (req, res) => {
    const route = control[`${req.method} ${req.url}`];
    if (!route) return service.requestHandler(req, res);
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify((await route(await text(req))) ?? {}));
  };
});

function controlOf(service) {
  const requests = [];
  const orders = new Orders();

  service.on('beforeResponse', (response, { body: form }) => {
    const order = orders.take();
    if (order) {
      response.statusCode = order.status;
      response.body = order.body ?? { ...response.body, ...order.changes };
    }
    requests.push({ form, status: response.statusCode });
  });

  return {
    'GET /control/requests': () => requests,
    'POST /control/orders': (body) => orders.put(JSON.parse(body)),
    'DELETE /control/orders': () => orders.withdraw(),
  };
}

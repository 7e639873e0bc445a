// What a test may do to the provider, and learn from it:
//
//     GET    /control/requests                               every token request so far, the oldest first
//     POST   /control/faults {status, retry_after, count}    refuse so many token requests (null: all of them)
//                                                            with that status (null: carry them out, and say nothing)
//     DELETE /control/faults                                 answer again
//     POST   /control/withdraw {account}                     the user takes the consent back

import { STATUS_CODES } from 'node:http';

export function control(provider) {
  const requests = [];
  const accounts = accountsByToken(provider);
  let fault = null;

  const routes = {
    'GET /control/requests': () => requests,
    'POST /control/faults': (order) => void (fault = order),
    'DELETE /control/faults': () => void (fault = null),
    'POST /control/withdraw': ({ account }) => withdraw(provider, account),
  };

  provider.use(async (ctx, next) => {
    const route = routes[`${ctx.method} ${ctx.path}`];
    if (!route) return next();
    ctx.body = (await route(ctx.method === 'POST' ? JSON.parse(await text(ctx.req)) : undefined)) ?? {};
  });

  provider.use(async (ctx, next) => {
    if (ctx.path !== '/token') return next();
    const current = takeFault();
    const form = current?.status ? refuse(ctx, current, await text(ctx.req)) : await carryOut(ctx, next);
    if (current?.status === null) hangUp(ctx);
    const account = accounts.get(form.refresh_token ?? form.code) ?? null;
    requests.push({ account, grant_type: form.grant_type ?? '', outcome: outcome(ctx, current) });
  });

  function takeFault() {
    const current = fault;
    if (fault?.count && --fault.count === 0) fault = null;
    return current;
  }
}

// Whose each token is. It outlives the token, so that a refusal of a revoked one can be told apart by account too.
function accountsByToken(provider) {
  const accounts = new Map();
  const remember = ({ jti, accountId }) => accounts.set(jti, accountId);
  provider.on('authorization_code.saved', remember);
  provider.on('refresh_token.saved', remember);
  return accounts;
}

// A gateway's answer: it knows neither OAuth nor JSON.
function refuse(ctx, { status, retry_after: retryAfter }, body) {
  ctx.status = status;
  ctx.body = STATUS_CODES[status];
  if (retryAfter !== null) ctx.set('Retry-After', retryAfter);
  return Object.fromEntries(new URLSearchParams(body));
}

async function carryOut(ctx, next) {
  await next();
  return ctx.oidc.params ?? {};
}

function hangUp(ctx) {
  ctx.respond = false;
  ctx.req.socket.destroy();
}

function outcome(ctx, fault) {
  if (fault) return fault.status === null ? 'lost' : `http_${fault.status}`;
  return ctx.body?.error ?? 'ok';
}

async function withdraw(provider, account) {
  const grants = provider.Grant.adapter.select(({ accountId }) => accountId === account);
  await Promise.all(
    grants.flatMap(([id]) => [
      provider.RefreshToken.revokeByGrantId(id),
      provider.AccessToken.revokeByGrantId(id),
      provider.Grant.adapter.destroy(id),
    ]),
  );
  return { grants: grants.length };
}

async function text(stream) {
  let all = '';
  for await (const chunk of stream.setEncoding('utf8')) all += chunk;
  return all;
}

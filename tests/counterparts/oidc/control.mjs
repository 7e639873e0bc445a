// What a test may do to the provider, and learn from it:
//
//     GET    /control/requests                               every token request so far, the oldest first
//     GET    /control/revocations                            every revocation (RFC 7009) so far, likewise
//     POST   /control/faults {status, retry_after, count}    refuse so many token requests (null: all of them)
//                                                            with that status (null: carry them out, and say nothing)
//     DELETE /control/faults                                 answer again
//     POST   /control/withdraw {account}                     the user takes the consent back

import { STATUS_CODES } from 'node:http';

import { Orders, text } from '../orders.mjs';

export function control(provider) {
  const requests = [];
  const revocations = [];
  const issued = issuedBy(provider);
  const faults = new Orders();

  const routes = {
    'GET /control/requests': () => requests,
    'GET /control/revocations': () => revocations,
    'POST /control/faults': (order) => faults.put(order),
    'DELETE /control/faults': () => faults.withdraw(),
    'POST /control/withdraw': ({ account }) => withdraw(provider, account),
  };

  provider.use(async (ctx, next) => {
    const route = routes[`${ctx.method} ${ctx.path}`];
    if (!route) return next();
    ctx.body = (await route(ctx.method === 'POST' ? JSON.parse(await text(ctx.req)) : undefined)) ?? {};
  });

  provider.use(async (ctx, next) => {
    if (ctx.path !== '/token') return next();
    const fault = faults.take();
    const form = fault?.status ? refuse(ctx, fault, await text(ctx.req)) : await carryOut(ctx, next);
    if (fault?.status === null) hangUp(ctx);
    const account = issued.get(form.refresh_token ?? form.code)?.account ?? null;
    requests.push({ account, grant_type: form.grant_type ?? '', outcome: outcome(ctx, fault) });
  });

  provider.use(async (ctx, next) => {
    if (ctx.path !== '/token/revocation') return next();
    const { token } = await carryOut(ctx, next);
    const { account, kind } = issued.get(token) ?? { account: null, kind: null };
    revocations.push({ account, kind, outcome: outcome(ctx, null) });
  });
}

// Whose each token is. It outlives the token, so that a refusal of a revoked one can be told apart by account too.
function issuedBy(provider) {
  const issued = new Map();
  for (const kind of ['authorization_code', 'refresh_token', 'access_token'])
    provider.on(`${kind}.saved`, ({ jti, accountId }) => issued.set(jti, { account: accountId, kind }));
  return issued;
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

// The provider itself: one confidential client, refresh tokens that are replaced at every use, and a user who consents.

import { generateKeyPairSync, randomUUID } from 'node:crypto';

import { Memory } from './memory.mjs';

const DAY = 86_400; // seconds

export async function makeProvider(url, { client, lifetime }) {
  const { Provider } = await quietly(() => import('oidc-provider'));
  const provider = new Provider(url, {
    adapter: Memory,
    clients: [registered(client, url)],
    cookies: { keys: [randomUUID()] },
    features: { devInteractions: { enabled: false }, revocation: { enabled: true, allowedPolicy: isOwner } },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_ctx, { uid }) => `/consent/${uid}` },
    jwks: { keys: [signingKey()] },
    rotateRefreshToken: true,
    // All of them in numbers, for oidc-provider remarks on each that it has to choose by itself.
    ttl: {
      AccessToken: lifetime,
      AuthorizationCode: 60,
      Grant: DAY,
      IdToken: lifetime,
      Interaction: 60,
      RefreshToken: DAY,
      Session: DAY,
    },
  });
  provider.use(consent);
  provider.on('server_error', (_ctx, error) => console.error(error)); // it would answer 500 and keep the reason to itself
  return provider;
}

// oidc-provider warns of every Node but a long-term release from 22 on, though it runs on others too.
async function quietly(load) {
  const { warn } = console;
  console.warn = () => {};
  try {
    return await load();
  } finally {
    console.warn = warn;
  }
}

function registered({ id, secret }, url) {
  return {
    client_id: id,
    client_secret: secret,
    grant_types: ['authorization_code', 'refresh_token'],
    id_token_signed_response_alg: 'ES256',
    redirect_uris: [`${url}/callback`],
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' };
}

function isOwner(_ctx, client, token) {
  return token.clientId === client.clientId;
}

// What a browser and a person do in life: sign in as whoever `login_hint` names, and agree to all that is asked for.
async function consent(ctx, next) {
  if (ctx.path === '/callback') {
    ctx.body = ctx.query;
    return;
  }
  if (!ctx.path.startsWith('/consent/')) {
    await next();
    return;
  }
  const { params } = await ctx.app.interactionDetails(ctx.req, ctx.res);
  const grant = new ctx.app.Grant({ accountId: params.login_hint, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const login = { accountId: params.login_hint };
  const result = { login, consent: { grantId: await grant.save() } };
  ctx.status = 303;
  ctx.redirect(await ctx.app.interactionResult(ctx.req, ctx.res, result));
}

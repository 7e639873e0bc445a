// The provider itself: one confidential client, refresh tokens that are replaced at every use, and users with a mind.

import { generateKeyPairSync, randomUUID } from 'node:crypto';

import { Memory } from './memory.mjs';

const DAY = 86_400; // seconds
const DENIED = { error: 'access_denied', error_description: 'the user does not agree' };

export async function makeProvider(url, { client, lifetime, redirect_uris, signed_out_uris, groups }) {
  const { Provider } = await quietly(() => import('oidc-provider'));
  const provider = new Provider(url, {
    adapter: Memory,
    claims: { openid: ['sub', 'groups'] },
    clients: [registered(client, redirect_uris, signed_out_uris)],
    conformIdTokenClaims: false, // claims are in the ID token, as most providers have it
    cookies: { keys: [randomUUID()] },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: isOwner },
      rpInitiatedLogout: { enabled: true, logoutSource: askToSignOut },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, groups: groups[id] }) }),
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

function registered({ id, secret }, redirectUris, signedOutUris) {
  return {
    client_id: id,
    client_secret: secret,
    grant_types: ['authorization_code', 'refresh_token'],
    id_token_signed_response_alg: 'ES256',
    post_logout_redirect_uris: signedOutUris,
    redirect_uris: redirectUris,
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' };
}

function isOwner(_ctx, client, token) {
  return token.clientId === client.clientId;
}

// Its own page loads a font from another host.
function askToSignOut(ctx, form) {
  ctx.body = `<!doctype html><html lang="en"><title>Sign out</title><h1>Sign out of the provider?</h1>${form}
    <button type="submit" form="op.logoutForm" value="yes" name="logout">Yes</button></html>`;
}

// What a person does in life: sign in, and agree to all that is asked for, or to nothing. Who it is, the browser's header
// `Account` says, or else `login_hint`; and its header `Consents: no`, that they do not agree.
async function consent(ctx, next) {
  if (!ctx.path.startsWith('/consent/')) return next();
  const { params } = await ctx.app.interactionDetails(ctx.req, ctx.res);
  const account = ctx.get('Account') || params.login_hint;
  const result = ctx.get('Consents') === 'no' ? DENIED : await agreed(ctx.app, account, params);
  ctx.status = 303;
  ctx.redirect(await ctx.app.interactionResult(ctx.req, ctx.res, result));
}

async function agreed(provider, account, { client_id: clientId, scope }) {
  const grant = new provider.Grant({ accountId: account, clientId });
  grant.addOIDCScope(scope);
  return { login: { accountId: account }, consent: { grantId: await grant.save() } };
}

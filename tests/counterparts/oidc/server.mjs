// A certified OpenID provider for tests:
// `node server.mjs '{"client": {"id": …, "secret": …}, "lifetime": 60, "redirect_uris": […],
// "signed_out_uris": […], "groups": {"ada": ["staff"]}}'`.

import { serve } from '../serve.mjs';
import { control } from './control.mjs';
import { makeProvider } from './provider.mjs';

serve(async (url) => {
  const provider = await makeProvider(url, JSON.parse(process.argv[2]));
  control(provider);
  return provider.callback();
});

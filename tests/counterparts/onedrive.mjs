import mock from 'microsoft-onedrive-mock';

import { serve } from './serve.mjs';

serve(() => {
  const app = mock.createApp();
  // The mock knows every drive but by this name, the one that Graph's users say.
  app.get('/v1.0/me/drive', (req, res, next) => {
    req.url = '/v1.0/drives/me';
    app.handle(req, res, next);
  });
  return app;
});

import mock from 'google-drive-mock';

import { serve } from './serve.mjs';

serve(() => mock.createApp());

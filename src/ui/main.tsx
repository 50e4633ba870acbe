import { render } from 'preact';
import { App } from './app.tsx';
import { followIdentity } from './lib/me.ts';

followIdentity();
const root = document.getElementById('app');
if (root) render(<App />, root);

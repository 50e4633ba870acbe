import { render } from 'preact';
import { followIdentity } from '../lib/me.ts';
import { TestPage } from './test-page.tsx';

followIdentity();
const root = document.getElementById('app');
if (root) render(<TestPage />, root);

import { render } from 'preact';
import { App } from './app';
import { keepOffline } from './model/offline';
import { readRoute } from './model/route';
import { applyTheme, currentTheme } from './model/theme';
import './styles/index.css';

// First of all, so that an invite is in the address no longer than it must be.
const route = readRoute();
applyTheme(currentTheme());

const root = document.getElementById('app');
if (root) render(<App first={route} />, root);
keepOffline();

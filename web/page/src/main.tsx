import { render } from 'preact';
import { App } from './app';
import { keepOffline } from './model/offline';
import { warm } from './model/peer';
import { readRoute } from './model/route';
import { applyTheme, currentTheme } from './model/theme';
import './styles/index.css';

// First of all, so that an invite is in the address no longer than it must be.
const route = readRoute();
applyTheme(currentTheme());
warm();

const root = document.getElementById('app');
if (root) render(<App first={route} />, root);
if (route.at !== 'start') void import('./editor/editor').catch(() => {});
keepOffline();

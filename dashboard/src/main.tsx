// Imported first: it removes the token of a share link from the address.
import './access/fragment'

import { createRoot } from 'react-dom/client'

import { begin } from './access/me'
import { App } from './app/app'
import { reloadStaleBuild } from './app/stale-build'
import './styles/index.css'

const root = document.getElementById('root')
reloadStaleBuild()
void begin()
if (root !== null) createRoot(root).render(<App />)

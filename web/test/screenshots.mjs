// Pictures of every view, with real rooms, wide and on a phone, light and dark:
//
//     npm run screenshots -- DIRECTORY

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { closeBrowsers, home, Scene } from './support/index.mjs';

const directory = process.argv[2];
if (directory === undefined) {
  console.error('Where to? npm run screenshots -- DIRECTORY');
  process.exit(2);
}
mkdirSync(directory, { recursive: true });

const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };

/** The view as it is now, in all four ways. */
async function shoot({ page }, name, sizes = ['wide', 'phone']) {
  for (const size of sizes) {
    await page.setViewportSize(SIZES[size]);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished.catch(() => {}))));
      await page.screenshot({ path: join(directory, `${name}-${size}-${colorScheme}.png`) });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(SIZES[sizes[0]]);
  console.log(name);
}

const scene = new Scene();
try {
  const server = await scene.server();
  const ada = await scene.person('Ada Lovelace');
  await ada.visit(home(server));
  await ada.see('heading', 'Start a room');
  await shoot(ada, '01-start');
  await ada.press('button', 'Create room');
  await ada.says('So that the others know who you are.');
  await shoot(ada, '02-start-no-name');
  await ada.press('button', 'How safe is this page?');
  await shoot(ada, '03-about');
  await ada.dismiss();
  await ada.create(server, 'Summer house');
  await ada.see('img', 'QR code of the invite');
  await shoot(ada, '04-invite');
  const link = await ada.invite({ people: '5 people' });
  await ada.dismiss();
  await shoot(ada, '05-room-alone');
  await ada.press('button', 'Invite', true);
  await ada.untilLink();

  const bo = await scene.person('Bo');
  await bo.visit(link);
  await bo.see('heading', 'You are invited');
  await shoot(bo, '06-join');
  await bo.introduce();
  await bo.inRoom();
  await ada.see('heading', 'It fits');
  await shoot(ada, '07-invite-came');
  await ada.press('button', 'Go on');

  const [ben, cid] = [scene.agent('ben'), scene.agent('cid')];
  for (const agent of [ben, cid]) await agent.join(link);
  await ben.run('edit', 'Summer house', '--insert', 'What to bring\n\n- blankets, the big ones from the attic\n- the red pot\n- ');
  await ada.untilText('red pot');
  await ada.write('the board games that Bo has had since last year, if he still finds them\n- ');
  await bo.untilText('since last year');
  await bo.write('found!');
  await ada.untilText('found!');
  await ada.untilCursor('Bo');
  await ada.untilEdges('confirmed', 6);
  await shoot(ada, '08-room-text');
  await ada.press('button', 'Find');
  await shoot(ada, '09-room-find');
  await ada.hands.key('Escape');
  await ada.menu();
  await shoot(ada, '10-room-menu');
  await ada.press('button', 'Leave room…');
  await shoot(ada, '11-room-leave');
  await ada.press('button', 'Stay');

  await ada.canvas();
  // Who opens a drawing sees it in the middle; both begin with none, so that their papers lie alike.
  await bo.canvas();
  await shoot(ada, '12-canvas-empty');
  await ada.draw([60, 180], [150, 90], [240, 180], [240, 300], [60, 300], [60, 180]);
  await bo.press('button', 'Red', true);
  await bo.press('button', 'Broad', true);
  await bo.draw([120, 300], [120, 230], [180, 230], [180, 300]);
  await ben.run('draw', 'Summer house', '--line', '20,310 150,330 300,310', '--color', '#0b7a6f', '--width', '6');
  await ada.untilStrokes(3);
  await bo.press('button', 'Bronze');
  await bo.holdPen([30, 60], [60, 40], [90, 60]);
  await ada.untilPixels('#a8560a');
  await shoot(ada, '13-canvas');
  await bo.page.mouse.up();
  await ada.press('tab', 'Text');

  await cid.signal('SIGSTOP');
  scene.after(() => cid.signal('SIGCONT').catch(() => {}));
  await ada.untilEdges('claimed', 3, 60_000);
  await ada.hands.run(() => (document.querySelector('.people details').open = true));
  await shoot(ada, '14-people-claimed', ['wide']);
  await ada.page.setViewportSize(SIZES.phone);
  await ada.press('tab', 'People');
  await shoot(ada, '14-people-claimed', ['phone']);
  await ada.hands.run(() => document.querySelector('.servers').scrollIntoView());
  await shoot(ada, '15-people-end', ['phone']);
  await ada.page.setViewportSize(SIZES.wide);
  await ada.press('tab', 'Text');
  await cid.signal('SIGCONT');
  await cid.signal('SIGKILL');
  await ada.untilMember('cid', 'away');

  await ada.press('button', 'All rooms');
  await ada.see('heading', 'Your rooms');
  await shoot(ada, '16-start-with-rooms');
  const eve = await scene.person('Eve');
  await eve.visit(link.slice(0, -5));
  await eve.introduce();
  await eve.trouble();
  await shoot(eve, '17-join-incomplete');
  await eve.visit(`${home(server)}#room/nowhere`);
  await eve.says('This room cannot be shown');
  await shoot(eve, '18-room-missing');
  await eve.press('button', 'All rooms');
  await eve.press('button', 'Scan a QR code');
  await eve.see('heading', 'The camera').catch(() => {});
  await shoot(eve, '19-scan');

  const cy = await scene.person('Cy');
  await cy.visit(await bo.invite());
  await server.kill();
  await bo.dismiss();
  await bo.press('tab', 'Text');
  await bo.says('The server cannot be reached');
  await shoot(bo, '20-room-without-server');
  await cy.introduce();
  await cy.says('The server cannot be reached yet');
  await shoot(cy, '21-joining');
  await cy.trouble();
  await shoot(cy, '22-join-failed');
  await bo.hands.context.setOffline(true);
  await ben.signal('SIGKILL');
  await ada.page.close();
  await bo.says('You are offline');
  await shoot(bo, '23-room-offline');
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await scene.end();
  await closeBrowsers();
}

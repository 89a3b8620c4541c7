// Works on a riddle beside the page, see proof.js.
import { Search } from './proof.js';

self.onmessage = ({ data: { challenge, bits } }) => {
  self.postMessage(new Search(challenge, bits).run(Infinity));
};

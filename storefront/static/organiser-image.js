// The organiser's page, the image of a sale.
import { isOff, isUnanswered, setOff } from './common.js';
import { changeSale, definition, onSale, refusalText } from './organiser-definition.js';
import { tell } from './organiser-notice.js';

const BYTES_MAX = 8 * 1024 * 1024; // as picture.FileBytesMax

const panel = document.getElementById('image-panel');
const form = document.getElementById('image-form');
const file = document.getElementById('image-file');
const now = document.getElementById('image-now');
const remove = document.getElementById('image-remove');
const buttons = form.querySelectorAll('button');
const message = document.getElementById('image-message');
let shown = null; // the address of the image that the organiser has seen; empty: there was none

onSale(({ image }) => {
  const isNews = shown !== null && shown !== (image?.url ?? '');
  shown = image?.url ?? '';
  now.hidden = remove.hidden = !image;
  document.getElementById('image-none').hidden = Boolean(image);
  if (image) Object.assign(now, { src: image.url, width: image.width, height: image.height });
  return isNews ? ['Image'] : [];
});
now.addEventListener('error', () => { now.hidden = true; }); // at an address without the public routes

export function showImage() {
  panel.hidden = false;
}

export function hideImage() {
  panel.hidden = true;
}

async function change(request, isDone, done) {
  if ([...buttons].some(isOff)) return;
  buttons.forEach((button) => setOff(button, true));
  tell(message, '', 'One moment…');
  const answer = await changeSale(() => (isDone() ? null : { path: '/image', ...request }), () => { shown = null; });
  buttons.forEach((button) => setOff(button, false));
  if (answer === null || answer.status === 200) {
    form.reset();
    tell(message, '', done);
    if (request.method === 'DELETE') file.focus(); // its button is gone
    return;
  }
  if (isUnanswered(answer)) shown = null; // it may be ours
  tell(message, answer.news || isUnanswered(answer) ? 'warn' : 'bad', refusalText(answer, () => 'The file'));
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const [chosen] = file.files;
  if (chosen.size > BYTES_MAX) {
    tell(message, 'bad', 'The file has more than 8 MB. Make a smaller one.');
    return;
  }
  change({ method: 'PUT', body: chosen }, () => false, 'The page of the sale shows it now.');
});
remove.addEventListener('click', () => change({ method: 'DELETE' }, () => !definition().image, 'The sale has no image now.'));

import test from 'ava';
import { WriteForecast } from '../../../primary/capture/write-forecast.ts';
import { PageSet } from '../../../shared/page-set.ts';

const pageCount = 4096;

function range(first: number, end: number): PageSet {
  const set = new PageSet(pageCount);
  set.addRange(first, end);
  return set;
}

test('a page that is written again epoch after epoch is withheld, its neighbours are not', (t) => {
  const forecast = new WriteForecast(pageCount);
  for (let epoch = 0; epoch < 3; epoch++) forecast.observe(range(0, 2000), range(100, 1500));
  const pages = range(0, 2000);
  forecast.removeHot(pages);
  t.is(pages.size, 600);
  t.true(pages.has(99) && !pages.has(100) && !pages.has(1499) && pages.has(1500));
  t.is(forecast.hotPages, 1400);
});

test('one odd epoch moves no page of a steady working set, two cool it down', (t) => {
  const forecast = new WriteForecast(pageCount);
  const none = new PageSet(pageCount);
  for (let epoch = 0; epoch < 4; epoch++) forecast.observe(range(5, 6), range(5, 6));
  forecast.observe(range(5, 6), none);
  t.true(forecast.isHot(5));
  forecast.observe(range(5, 6), none);
  t.false(forecast.isHot(5));
  t.is(forecast.hotPages, 0);
  forecast.observe(range(5, 6), range(5, 6));
  t.true(forecast.isHot(5));
});

test('a page that a round did not find is not judged', (t) => {
  const forecast = new WriteForecast(pageCount);
  forecast.observe(range(0, 1), range(7, 8));
  forecast.observe(range(0, 1), range(7, 8));
  t.false(forecast.isHot(7));
});

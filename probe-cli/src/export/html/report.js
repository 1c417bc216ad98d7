
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const root = document.documentElement;
  window.addEventListener('error', (event) => { root.dataset.error = event.message; });

  // Text gets into the page by textContent alone.
  const el = (tag, properties = {}, ...children) => {
    const { dataset = {}, ...own } = properties;
    const node = Object.assign(document.createElement(tag), own);
    Object.assign(node.dataset, dataset);
    node.append(...children);
    return node;
  };
  const add = (...nodes) => document.body.append(...nodes);

  const UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
  const bytes = (size) => {
    let unit = 0;
    while (unit + 1 < UNITS.length && size >= 1024 ** (unit + 1)) unit += 1;
    const value = size / 1024 ** unit;
    return (Number.isInteger(value) ? value : Math.floor(value * 10) / 10) + UNITS[unit];
  };
  const digits = (value) => (value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0));
  const duration = (ns) => {
    if (ns < 1e3) return ns + 'ns';
    if (ns < 999500) return digits(ns / 1e3) + 'µs';
    if (ns < 999.5e6) return digits(ns / 1e6) + 'ms';
    return digits(ns / 1e9) + 's';
  };
  const count = (number) => number.toLocaleString('en-US').replaceAll(',', '\u2009');
  // The end of a column, in seconds since the beginning.
  const seconds = (column) => ((data.start + (column + 1) * data.width) / 1e9).toFixed(data.width < 1e7 ? 3 : 2) + ' s';

  const { columns, summary, header } = data;
  const style = getComputedStyle(root);
  const tones = new Map(data.tones.map((tone) => [tone.letter, tone]));
  const HOLE = data.tones.at(-1).letter;
  // What is as before stands once.
  const whole = (list) => {
    let last = null;
    return list.map((one) => { last = one === null ? last : one; return last; });
  };

  // One moment for the whole page.
  const followers = [];
  let moment = 0;
  let pointed = '';
  const slider = el('input', { type: 'range', min: 0, max: columns - 1, ariaLabel: 'moment' });
  const clock = el('span', { className: 'value' });
  const about = el('span', { className: 'label quiet', textContent: 'Move over a picture, or the slider' });
  const show = () => {
    root.style.setProperty('--t', (moment + 0.5) / columns);
    slider.value = moment;
    clock.textContent = seconds(moment);
    about.textContent = pointed || 'Move over a picture, or the slider';
    about.title = pointed;
    followers.forEach((follow) => follow());
  };
  slider.addEventListener('input', () => { moment = Number(slider.value); pointed = ''; show(); });

  // A picture whose columns are those of the trace. `tell` says what is under the pointer.
  const plot = (canvas, className, tell) => {
    const node = el('div', { className: 'plot ' + className }, canvas);
    const point = (event) => {
      const box = node.getBoundingClientRect();
      const part = (at, from, size) => Math.min(0.999999, Math.max(0, (at - from) / size));
      moment = Math.floor(part(event.clientX, box.left, box.width) * columns);
      pointed = tell ? tell(moment, part(event.clientY, box.top, box.height)) : '';
      show();
    };
    node.addEventListener('pointermove', point);
    node.addEventListener('pointerdown', point);
    return node;
  };
  const canvas = (height, shown, label, draw) => {
    const node = el('canvas', { width: columns, height, role: 'img', ariaLabel: label });
    node.style.height = shown + 'px';
    const paint = () => {
      const to = node.getContext('2d');
      to.clearRect(0, 0, columns, height);
      draw(to);
    };
    paint();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
    return node;
  };
  const colour = (letter) => (letter === HOLE ? style.getPropertyValue('--hole') : tones.get(letter).colour);
  const key = (entry, hole) => {
    const sample = el('i');
    sample.style.background = hole ? 'var(--hole)' : entry.colour;
    return el('span', {}, sample, entry.word);
  };
  const row = (label, picture, value) => el('div', { className: 'row' }, label, picture, value);

  // Bytes by leaf size, one class upon another. The page begins at the moment with the most of them.
  let peak;
  const sizes = (process) => {
    const numbers = whole(process.sizes);
    const total = (column) => numbers[column].reduce((sum, one) => sum + one, 0);
    const most = Math.max(1, ...numbers.map((_, column) => total(column)));
    const HEIGHT = 120;
    const picture = canvas(HEIGHT, HEIGHT, 'bytes by leaf size over time', (to) => {
      numbers.forEach((classes, column) => {
        let top = HEIGHT;
        classes.forEach((size, index) => {
          const high = size / most * HEIGHT;
          to.fillStyle = data.classes[index].colour;
          to.fillRect(column, top - high, 1, high);
          top -= high;
        });
      });
    });
    picture.dataset.most = most;
    peak ??= numbers.findIndex((_, column) => total(column) === most);
    const values = data.classes.map((entry) => {
      const value = el('b');
      return { value, node: el('span', {}, key(entry, false), ' ', value) };
    });
    const now = el('span', { className: 'value' });
    followers.push(() => {
      values.forEach(({ value }, index) => { value.textContent = bytes(numbers[moment][index]); });
      now.textContent = bytes(total(moment));
    });
    const label = el('span', { className: 'label' }, 'bytes by leaf size', el('small', { textContent: 'up to ' + bytes(most) }));
    return [row(label, plot(picture, 'bare'), now), el('div', { className: 'legend' }, ...values.map(({ node }) => node))];
  };

  // An area of the address space: time goes to the right, addresses go up.
  const area = (own, seen) => {
    const picture = whole(own.picture);
    const cells = Math.max(1, ...picture.map((column) => column.length));
    const shown = Math.max(10, Math.min(64, cells * 2));
    const drawn = canvas(cells, shown, own.names.join(', ') + ' over time', (to) => {
      picture.forEach((column, x) => [...column].forEach((letter, cell) => {
        if (letter === '.') return;
        seen.add(letter);
        to.fillStyle = colour(letter);
        to.fillRect(x, cells - 1 - cell, 1, 1);
      }));
    });
    drawn.dataset.area = own.start;
    drawn.dataset.tones = [...new Set(picture.join(''))].sort().join('');
    const [start, end] = [BigInt(own.start), BigInt(own.end)];
    const address = (cell) => (start + (end - start) / 4096n * BigInt(cell) / BigInt(cells) * 4096n).toString(16);
    const word = (letter) => (letter === '.' ? 'no VMA' : tones.get(letter).word);
    const tell = (column, part) => {
      const cell = Math.floor((1 - part) * cells);
      return `${address(cell)}: ${word(picture[column][cell] ?? '.')}`;
    };
    const size = bytes(Number(end - start));
    const label = el('span', { className: 'label mono', title: own.names.join(', ') },
      own.names.join(', ') || '-', el('small', { textContent: `${start.toString(16)}-${end.toString(16)}` }));
    return row(label, plot(drawn, '', tell), el('span', { className: 'value quiet', textContent: size }));
  };

  const process = (own) => {
    const seen = new Set();
    const changed = own.areas.filter((one) => one.changes > 0).map((one) => area(one, seen));
    const still = own.areas.filter((one) => one.changes === 0).map((one) => area(one, seen));
    const ended = own.total && own.total.has_ended ? ', ended' : '';
    const legend = data.tones.filter((tone) => seen.has(tone.letter)).map((tone) => key(tone, tone.letter === HOLE));
    const rest = el('details', { open: changed.length === 0 },
      el('summary', { textContent: `${still.length} areas that stayed as they were` }), ...still);
    return el('section', { dataset: { pid: own.pid, changed: changed.length, still: still.length } },
      el('h2', { className: 'break', textContent: `${own.comm || '?'} (${own.pid}${ended})` }),
      ...sizes(own),
      el('h3', { textContent: 'Address space: which leaf size mapped it' }),
      el('div', { className: 'legend' }, ...legend),
      ...changed, ...(still.length > 0 ? [rest] : []));
  };

  // Events of a family: a bar for each column.
  const family = (own) => {
    const most = Math.max(1, ...own.events);
    const HEIGHT = 24;
    const picture = canvas(HEIGHT, HEIGHT, own.name + ' events over time', (to) => {
      to.fillStyle = style.getPropertyValue('--bar');
      own.events.forEach((number, column) => {
        const high = number > 0 ? Math.max(1, number / most * HEIGHT) : 0;
        to.fillRect(column, HEIGHT - high, 1, high);
      });
    });
    const total = own.events.reduce((sum, one) => sum + one, 0);
    const now = el('span', { className: 'value' });
    followers.push(() => { now.textContent = `${count(own.events[moment])} of ${count(total)}`; });
    const line = row(el('span', { className: 'label', textContent: own.name }), plot(picture, 'bare'), now);
    Object.assign(line.dataset, { family: own.name, events: total });
    return line;
  };

  // Columns that begin with # are of numbers.
  const table = (name, headings, rows) => el('div', { className: 'scroll' }, el('table', { dataset: { table: name } },
    el('thead', {}, el('tr', {}, ...headings.map((text) => el('th', {
      className: text.startsWith('#') ? 'number' : '', textContent: text.replace('#', ''),
    })))),
    el('tbody', {}, ...rows.map(({ cells, dataset }) => el('tr', { dataset }, ...cells.map((text, index) => el('td', {
      className: headings[index].startsWith('#') ? 'number' : 'break', textContent: text,
    })))))));

  // What the kernel side counted is in summaries, which old traces do not have.
  const counted = (number) => (summary.summaries > 0 ? count(number) : '-');
  const causes = () => table('causes',
    ['cause', '#events', '#operations', '#lost', '#time', '#longest', '#bytes changed', 'changes'],
    summary.causes.map((own) => {
      const changes = Object.entries(own.changes).sort((one, other) => other[1] - one[1]);
      const more = changes.length > 4 ? `, ${changes.length - 4} more` : '';
      const list = changes.slice(0, 4).map(([change, size]) => `${change} ${bytes(size)}`).join(', ');
      return {
        dataset: { cause: own.cause, events: own.events, changed: own.changed },
        cells: [own.cause, count(own.events), counted(own.operations), counted(own.lost), duration(own.time),
          duration(own.longest), bytes(own.changed), list + more],
      };
    }));
  const vmas = () => table('vmas', ['#PID', 'addresses', 'VMA', '#events', '#bytes changed'], summary.vmas.map((own) => ({
    cells: [String(own.pid), `${own.start.slice(2)}-${own.end.slice(2)}`, own.name, count(own.events), bytes(own.changed)],
  })));

  const losses = () => {
    const { lost_ring: ring, lost_state: state, missed, noticed } = summary.losses;
    return [
      [ring, 'records found no room in the ring buffer: a larger --ring-size helps'],
      [state, 'operations came while too many were under way'],
      [missed, 'calls were not shown by the kernel'],
      [noticed, 'losses noticed while maps were followed: what they may have changed was read again'],
    ].filter(([number]) => number > 0).map(([number, text]) => `${count(number)} ${text}`);
  };

  const card = (value, text) => el('div', { className: 'card' }, el('b', { textContent: value }), text);
  const events = (name) => summary.causes.filter((own) => own.cause === name).reduce((sum, own) => sum + own.events, 0);
  const date = new Date(data.since_1970);
  const { lost_ring, lost_state, missed } = summary.losses;
  add(
    el('h1', { textContent: 'What happened to page-table leaves' }),
    el('p', { className: 'mono break', textContent: header.command.join(' ') }),
    el('p', { className: 'quiet', textContent: `${header.tool}, Linux ${header.kernel} ${header.machine}, `
      + (Number.isNaN(date.getTime()) ? 'date unknown' : date.toISOString().replace('T', ' ').slice(0, 19) + ' UTC') }),
    el('div', { className: 'cards' },
      card(duration(summary.duration), 'length'),
      card(count(summary.events), 'events'),
      card(count(events('pmd_split')), 'PMD splits'),
      card(count(events('folio_split')), 'folio splits'),
      card(count(events('collapse') + events('collapse_file')), 'collapses'),
      card(count(summary.readings), 'readings of maps'),
      card(count(lost_ring + lost_state + missed), 'lost')),
  );
  const list = (name, sentences) => el('ul', { className: 'notes', dataset: { notes: name } },
    ...sentences.map((textContent) => el('li', { textContent })));
  const problems = [...data.complaints, ...losses()];
  if (problems.length > 0) add(list('problems', problems));
  add(el('div', { className: 'time' }, about, slider, clock));
  if (data.processes.length === 0) {
    add(el('p', { className: 'quiet', textContent: 'By address nothing is known: `walkprobe trace --maps` keeps leaf maps in the trace.' }));
  }
  add(...data.processes.map(process));
  add(el('h2', { textContent: 'Events over time' }), ...data.families.filter((own) => own.events.some((n) => n > 0)).map(family));
  add(el('h2', { textContent: 'By cause' }), causes());
  if (summary.vmas.length > 0) add(el('h2', { textContent: 'By VMA' }), vmas());
  if (data.left_out.length > 0) add(el('h2', { textContent: 'Left out' }), list('left-out', data.left_out));
  add(el('p', { className: 'quiet', textContent: `A column of a picture is ${duration(data.width)}, and shows what stood at its end. `
    + 'A slice shows what most of it is; holes give way to whatever else there is.' }));
  moment = Math.max(0, peak ?? columns - 1);
  show();
  Object.assign(root.dataset, { ready: 'yes', columns, processes: data.processes.length, events: summary.events });
})();

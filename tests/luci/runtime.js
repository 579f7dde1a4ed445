'use strict';
/*
 * What the tests need of LuCI's runtime, written anew: the loader of `'require …'`, E() and _(), rpc, poll, dom, ui, uci, and
 * forms that show their options. What a page asks for and is not here is an error, not a shrug.
 *
 * The test puts before it: FILES (name of a module → its text), WORDS (English → the page's language), ANSWERS (ubus
 * method → answer), UCI (section → options), PAGE (what to show).
 */

const errors = [];
function failed(what) {
	errors.push(String(what && what.stack || what));
	document.getElementById('errors').textContent = errors.join('\n');
}
window.addEventListener('error', ev => failed(ev.error || ev.message));
window.addEventListener('unhandledrejection', ev => failed(ev.reason));
for (const kind of [ 'error', 'warn' ])
	console[kind] = (...words) => failed(kind + ': ' + words.join(' '));

const missing = new Set();
function _(text) {
	if (document.documentElement.lang !== 'en' && !(text in WORDS))
		missing.add(text);
	return WORDS[text] || text;
}

/* As LuCI's: %d, %s, %f, %%; an argument too few is an error. */
String.prototype.format = function(...args) {
	return this.replace(/%([dsf%])/g, (all, kind) => {
		if (kind === '%')
			return '%';
		if (!args.length)
			throw new Error('format: too few arguments for ' + this);
		const value = args.shift();
		if (kind !== 's' && typeof value !== 'number' && isNaN(value))
			throw new Error('format: ' + value + ' for ' + all + ' in ' + this);
		return kind === 'd' ? String(Math.trunc(value)) : String(value);
	});
};

function append(node, children) {
	for (const child of Array.isArray(children) ? children : [ children ]) {
		if (child == null || child === '')
			continue;
		if (child instanceof Node)
			node.appendChild(child);
		/* LuCI would write out a list within a list, too. */
		else if (typeof child === 'object')
			throw new Error('an object is no child: ' + JSON.stringify(child));
		else
			node.appendChild(document.createTextNode(String(child)));
	}
}
function E(name, attributes, children) {
	if (Array.isArray(attributes) || typeof attributes === 'string') {
		children = attributes;
		attributes = {};
	}
	const node = document.createElement(name);
	for (const key in attributes || {}) {
		const value = attributes[key];
		if (value == null)
			continue;
		if (typeof value === 'function')
			node.addEventListener(key, value);
		else
			node.setAttribute(key, value);
	}
	/* LuCI takes a plain string for HTML; ours are never meant so. */
	if (typeof children === 'string' && /[<&]/.test(children))
		throw new Error('E(): a string with markup: ' + children);
	if (children !== undefined)
		append(node, children);
	return node;
}

class Base {
	static extend(properties) {
		const made = class extends this {};
		for (const key of Object.getOwnPropertyNames(properties))
			Object.defineProperty(made.prototype, key, Object.getOwnPropertyDescriptor(properties, key));
		return made;
	}
}

const L = {
	bind: (f, self, ...first) => f.bind(self, ...first),
	url: (...parts) => '/cgi-bin/luci/' + parts.join('/'),
	resolveDefault: (value, otherwise) => Promise.resolve(value).catch(() => otherwise),
	hasViewPermission: () => true,
	env: {}
};

const polls = [], calls = [];
class Section {
	constructor(map, name, type, title, words) {
		Object.assign(this, { map, name, type, title, words, options: [] });
	}
	option(kind, name, title, words) {
		if (typeof kind !== 'function')
			throw new Error('no such kind of option for ' + name);
		if (!/^[a-z0-9_]+$/.test(name) || !title)
			throw new Error('an option without name or title: ' + name);
		const o = new kind(this, name, title, words);
		this.options.push(o);
		return o;
	}
}
class Option {
	constructor(section, name, title, words) {
		Object.assign(this, { section, name, title, words, needs: [], choices: [] });
	}
	depends(name, value) { this.needs.push([ name, value ]); return this; }
	value(key, title) { this.choices.push([ key, title ]); }
	shown() {
		/* Several of them are alternatives, as in LuCI. */
		return !this.needs.length || this.needs.some(([ name, value ]) => {
			const other = this.section.options.find(o => o.name === name);
			if (!other)
				throw new Error(this.name + ' depends on an unknown ' + name);
			return (uci.get('linekeeper', this.section.name, name) || other.default) === value;
		});
	}
	now() { return uci.get('linekeeper', this.section.name, this.name); }
	render() {
		const valid = value => {
			const said = this.validate ? this.validate(this.section.name, value) : true;
			if (said !== true)
				throw new Error(this.section.name + '.' + this.name + ': ' + value + ': ' + said);
		};
		const now = this.now();
		for (const value of [].concat(now == null ? [] : now))
			valid(value);
		if (this.placeholder && !/[^\x00-\x7f]/.test(this.placeholder) && this.checked !== false && !/ the /.test(' ' + this.placeholder + ' ') && !/^from /.test(this.placeholder))
			valid(this.placeholder);
		return E('div', { 'class': 'cbi-value', 'data-option': this.section.name + '.' + this.name, 'style': this.shown() ? null : 'display:none' }, [
			E('label', { 'class': 'cbi-value-title' }, [ this.title ]),
			E('div', { 'class': 'cbi-value-field' }, [ this.widget(now), this.words ? E('div', { 'class': 'cbi-value-description' }, [ this.words ]) : '' ])
		]);
	}
	widget(now) { return E('input', { 'type': 'text', 'placeholder': this.placeholder || '', 'value': now == null ? null : now }); }
}
class Flag extends Option {
	widget(now) { return E('input', { 'type': 'checkbox', 'checked': (now == null ? this.default : now) === '1' ? '' : null }); }
}
class ListValue extends Option {
	widget(now) {
		return E('select', {}, this.choices.map(([ key, title ]) => E('option', { 'value': key, 'selected': key === (now || this.default) ? '' : null }, [ title ])));
	}
}
class DynamicList extends Option {
	widget(now) {
		return E('div', { 'class': 'cbi-dynlist' }, [].concat(now || []).map(item => E('div', { 'class': 'item' }, [ item ]))
			.concat([ E('div', { 'class': 'add-item' }, [ E('input', { 'type': 'text' }), E('div', { 'class': 'btn cbi-button cbi-button-add' }, [ '+' ]) ]) ]));
	}
}

const uci = {
	load: () => Promise.resolve(),
	get: (file, section, option) => option === undefined ? (UCI[section] || null) : (UCI[section] || {})[option],
	add: (file, type, name) => { UCI[name] = {}; return name; }
};

const MODULES = {
	baseclass: Base,
	view: Base,
	dom: { content: (node, children) => { node.textContent = ''; append(node, children); } },
	poll: { add: (f, seconds) => { if (!(seconds > 0)) throw new Error('poll without seconds'); polls.push(f); } },
	ui: { createHandlerFn: (self, name, ...args) => {
		if (typeof self[name] !== 'function')
			throw new Error('no handler ' + name);
		return ev => { const done = self[name](...args, ev); Promise.resolve(done).catch(failed); return done; };
	} },
	rpc: { declare: what => (...args) => {
		if (what.object !== 'linekeeper' || !(what.method in ANSWERS))
			throw new Error('ubus has no ' + what.object + ' ' + what.method);
		calls.push([ what.method, ...args ]);
		return Promise.resolve(JSON.parse(JSON.stringify(ANSWERS[what.method])));
	} },
	uci,
	form: {
		Value: Option, Flag, ListValue, DynamicList,
		NamedSection: function() {},
		Map: class {
			constructor(file, title, words) { Object.assign(this, { title, words, sections: [] }); }
			section(kind, name, type, title, words) {
				const s = new Section(this, name, type, title, words);
				this.sections.push(s);
				return s;
			}
			render() {
				const tab = (s, at) => E('li', { 'class': 'cbi-tab' + (at === SHOWN_TAB ? '' : '-disabled') }, [ E('a', { 'href': '#' }, [ s.title ]) ]);
				return Promise.resolve(E('div', { 'class': 'cbi-map' }, [
					E('h2', {}, [ this.title ]), E('div', { 'class': 'cbi-map-descr' }, [ this.words ]),
					E('ul', { 'class': 'cbi-tabmenu' }, this.sections.map(tab)),
					...this.sections.map((s, at) => E('div', { 'class': 'cbi-section', 'style': at === SHOWN_TAB ? null : 'display:none' }, [
						s.words ? E('div', { 'class': 'cbi-section-descr' }, [ s.words ]) : '', ...s.options.map(o => o.render())
					]))
				]));
			}
		}
	}
};

const loaded = {};
function require_(name) {
	if (name in MODULES)
		return MODULES[name];
	if (!(name in loaded)) {
		if (!(name in FILES))
			throw new Error('no module ' + name);
		const made = compile(name);
		loaded[name] = new made();
	}
	return loaded[name];
}
/* A module is a function's body; what it requires stands in strings at its top. */
function compile(name) {
	const names = [], values = [];
	for (const line of FILES[name].split('\n')) {
		const found = line.match(/^'require ([a-z0-9_.]+)(?: as ([A-Za-z_]+))?';$/);
		if (found) {
			names.push(found[2] || found[1].replace(/[^A-Za-z]/g, '_'));
			values.push(require_(found[1]));
		}
	}
	return new Function('window', 'document', 'L', 'E', '_', ...names, FILES[name])(window, document, L, E, _, ...values);
}

window.addEventListener('DOMContentLoaded', async () => {
	const body = document.getElementById('page');
	try {
		for (const name of PAGE) {
			const made = new (compile(name))();
			const data = await Promise.resolve(made.load ? made.load() : null);
			const node = await Promise.resolve(made.render(data));
			if (made.title)
				append(body, E('h3', {}, [ made.title ]));
			append(body, node);
			/* A second look changes nothing, and what is clicked is answered. */
			for (const poll of polls.splice(0))
				await poll();
			for (const id of CLICKS) {
				const button = document.getElementById(id);
				if (!button)
					throw new Error('no button ' + id);
				const reason = document.getElementById('lk-reason');
				if (reason && id === 'lk-call')
					reason.value = 'very slow <b>since</b> Monday';
				button.click();
				for (let turn = 0; turn < 20; turn++)
					await Promise.resolve();
			}
		}
		if (missing.size)
			failed('not translated: ' + [ ...missing ].join(' | '));
		document.getElementById('calls').textContent = JSON.stringify(calls);
		document.getElementById('done').textContent = 'all shown';
	}
	catch (e) {
		failed(e);
	}
});

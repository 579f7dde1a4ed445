'use strict';
'require view';
'require form';
'require uci';
'require linekeeper.options as options';

/*
 * Every option of /etc/config/linekeeper. Which there are, with their texts, bounds and defaults, says linekeeper/options.js,
 * which is generated; here is only how each kind is shown. What holds where nothing is written stands as the placeholder.
 */

const FORMS = {
	time: [ /^\d+(\.\d+)? ?(ms|s|min|h|d)$/, _('a time with its unit: 500 ms, 5 s, 2 min, 1 h, 1 d') ],
	rate: [ /^\d+(\.\d+)? ?(bit|kbit|Mbit|Gbit)\/s$/, _('a rate with its unit: 64 kbit/s, 100 Mbit/s, 1 Gbit/s') ],
	size: [ /^\d+(\.\d+)? ?(B|kB|MB|GB)$/, _('an amount with its unit: 256 kB, 1 MB, 20 GB') ],
	temperature: [ /^\d+(\.\d+)? ?°?C$/, _('a temperature: 95 °C') ],
	share: [ /^\d+(\.\d+)? ?%$/, _('a share: 0.5 %, 80 %') ],
	id: [ /^[A-Za-z0-9._-]{1,64}$/, _('1 to 64 of A-Z a-z 0-9 . _ -') ],
	area: [ /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, _('A-Z a-z 0-9 . _ -, with single / between the levels') ],
	digits: [ /^[0-9A-Fa-f]{64}$/, _('64 hexadecimal digits') ],
	date: [ /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/, _('a date like 2026-11-20T09:00:00+08:00') ],
	path: [ /^\//, _('an absolute path') ],
	broker: [ /^mqtts?:\/\/[^\/@]+\/?$/, _('mqtts://HOST or mqtt://HOST, with :PORT if need be') ],
	server: [ /^https?:\/\/[^@]+$/, _('http://HOST/ or https://HOST/') ],
	page: [ /^http:\/\/[^@]+$/, _('http://HOST/PATH') ]
};

/* What LuCI itself knows. */
const DATATYPES = { host: 'host', address: 'ipaddr', hostname: 'hostname' };

/* What the option holds, its bounds, and for lists what holds where nothing is written. */
function words(option) {
	const said = option.words ? [ option.words ] : [];
	if (option.least !== undefined)
		said.push(_('%s to %s.').format(option.least, option.most));
	else if (option.most !== undefined)
		said.push(_('At most %s.').format(option.most));
	if (option.kind === 'command')
		said.push(_('One word a line.'));
	if (Array.isArray(option.usual)) {
		const names = new Map(option.choices || []);
		if (!option.usual.length)
			said.push(_('Empty: none.'));
		else if (option.usual.length === names.size)
			said.push(_('Empty: all.'));
		else
			said.push(_('Empty: %s.').format(option.usual.map(value => names.get(value) || value).join(', ')));
	}
	return said.join(' ');
}

function validated(o, option) {
	if (DATATYPES[option.form]) {
		o.datatype = DATATYPES[option.form];
	}
	else if (option.form) {
		const [ pattern, expected ] = FORMS[option.form];
		o.validate = function(section_id, value) {
			if (!value || pattern.test(value) || (option.none && value === 'none'))
				return true;
			return _('Expecting: %s').format(option.none ? _('%s; or none').format(expected) : expected);
		};
	}
}

const KINDS = {
	flag(section, option) {
		const o = section.option(form.Flag, option.name, option.title, words(option));
		o.default = option.usual;
		return o;
	},
	number(section, option) {
		const o = section.option(form.Value, option.name, option.title, words(option));
		o.datatype = 'range(%d,%d)'.format(option.least, option.most);
		o.placeholder = option.usual;
		return o;
	},
	text(section, option) {
		const o = section.option(form.Value, option.name, option.title, words(option));
		o.placeholder = option.usual || '';
		validated(o, option);
		return o;
	},
	choice(section, option) {
		const o = section.option(form.ListValue, option.name, option.title, words(option));
		option.choices.forEach(pair => o.value(pair[0], pair[1]));
		o.default = option.usual;
		return o;
	},
	list(section, option) {
		const o = section.option(form.DynamicList, option.name, option.title, words(option));
		(option.choices || []).forEach(pair => o.value(pair[0], pair[1]));
		if (option.choices && option.none)
			o.value('none', _('none'));
		validated(o, option);
		return o;
	},
	command(section, option) {
		return section.option(form.DynamicList, option.name, option.title, words(option));
	}
};

return view.extend({
	load() {
		return uci.load('linekeeper');
	},

	render() {
		const m = new form.Map('linekeeper', _('Line settings'),
			_('A value that the watch does not understand is left out, its default holds, and the status page says so.'));
		m.tabbed = true;

		for (const part of options.sections) {
			/* A firmware's own file may lack it. */
			if (!uci.get('linekeeper', part.name))
				uci.add('linekeeper', part.type, part.name);
			const s = m.section(form.NamedSection, part.name, part.type, part.title, part.words);
			s.addremove = false;
			for (const option of part.options) {
				const o = KINDS[option.kind](s, option);
				o.rmempty = true;
				const [ other, ...values ] = option.needs || [];
				values.forEach(value => o.depends(other, value));
			}
		}
		return m.render();
	}
});

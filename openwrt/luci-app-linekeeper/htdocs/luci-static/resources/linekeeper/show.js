'use strict';
'require baseclass';
'require rpc';

/* How the daemon's answers are shown: words, quantities and the plot. For the status page and the overview's tile. */

const DAY = 86400000;
const HOUR = 3600000;

const callStatus = rpc.declare({
	object: 'linekeeper',
	method: 'status',
	expect: { '': {} }
});

const STYLE = `
.lk-head { display: flex; flex-wrap: wrap; align-items: center; gap: .6em 1.4em; margin: 0 0 1em }
.lk-state { font-size: 1.7em; font-weight: bold; line-height: 1.3 }
.lk-dot { display: inline-block; width: .62em; height: .62em; border-radius: 50%; margin-right: .4em; background: #999 }
.lk-good { color: #1e7a44 } .lk-dot.lk-good { background: #27a35b }
.lk-bad { color: #b3261e } .lk-dot.lk-bad { background: #d63a2f }
.lk-wait { color: #8a6100 } .lk-dot.lk-wait { background: #dba21b }
:root[data-darkmode="true"] .lk-good { color: #55c98a }
:root[data-darkmode="true"] .lk-bad { color: #ff8a80 }
:root[data-darkmode="true"] .lk-wait { color: #e6c05c }
.lk-facts { display: flex; flex-wrap: wrap; gap: .2em 1.6em; opacity: .85 }
.lk-quiet { opacity: .7 }
strong + .lk-good, strong + .lk-bad, strong + .lk-wait { margin-left: .3em }
.lk-id { white-space: nowrap }
.lk-plot { display: block; width: 100%; max-width: 820px; height: auto; margin: .3em 0 .2em }
.lk-plot text { font-size: 10px; fill: currentColor; opacity: .7; font-family: inherit }
.lk-plot .lk-axis { stroke: currentColor; opacity: .18; stroke-width: 1; shape-rendering: crispEdges }
.lk-plot .lk-bar { stroke: #fff; stroke-opacity: .55; stroke-width: .5 }
.lk-legend { display: flex; flex-wrap: wrap; gap: .2em 1.2em; font-size: .9em; opacity: .8; margin-bottom: 1.2em }
.lk-key { display: inline-block; width: .8em; height: .8em; margin-right: .35em; vertical-align: -.05em }
.lk-call { display: flex; flex-wrap: wrap; gap: .6em; align-items: flex-start }
.lk-call textarea { flex: 1 1 26em; min-height: 4.2em; width: auto }
.lk-said { margin-top: .6em }
`;

/* The page's language as dates want it: LuCI writes zh_Hans in some places, which is no name for one. */
function locale() {
	try {
		return Intl.DateTimeFormat.supportedLocalesOf(document.documentElement.lang.replace('_', '-'))[0];
	}
	catch (e) {
		return undefined;
	}
}

function svg(name, attributes, children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);
	for (const key in attributes)
		node.setAttribute(key, attributes[key]);
	for (const child of children || [])
		node.appendChild(typeof child === 'string' ? document.createTextNode(child) : child);
	return node;
}

return baseclass.extend({
	load: callStatus,

	style() {
		return E('style', {}, [ STYLE ]);
	},

	/* ---- quantities ---- */

	span(ms) {
		const s = Math.floor(ms / 1000), min = Math.floor(s / 60), h = Math.floor(min / 60), d = Math.floor(h / 24);
		if (ms < 1000) return _('%d ms').format(ms);
		if (s < 10) return _('%s s').format((ms / 1000).toFixed(1));
		if (s < 60) return _('%d s').format(s);
		if (min < 10) return _('%d min %d s').format(min, s % 60);
		if (min < 60) return _('%d min').format(min);
		if (h < 24) return _('%d h %d min').format(h, min % 60);
		return _('%d d %d h').format(d, h % 24);
	},

	ago(ms) {
		return ms < 1000 ? _('just now') : _('%s ago').format(this.span(ms));
	},

	rate(bps) {
		for (const [ unit, factor ] of [ [ 'Gbit/s', 1e9 ], [ 'Mbit/s', 1e6 ], [ 'kbit/s', 1e3 ] ])
			if (bps >= factor)
				return '%s %s'.format(+(bps / factor).toPrecision(3), unit);
		return '%d bit/s'.format(bps);
	},

	/* Never rounded up: a line that was away for a moment was not there all the time. */
	ppm(n) {
		return n == null ? '–' : '%s %%'.format((Math.floor(n / 10) / 1000).toFixed(3));
	},

	bytes(n) {
		for (const [ unit, factor ] of [ [ 'GB', 1e9 ], [ 'MB', 1e6 ], [ 'kB', 1e3 ] ])
			if (n >= factor)
				return '%s %s'.format(+(n / factor).toPrecision(3), unit);
		return '%d B'.format(n);
	},

	millis(us) {
		return us == null ? '–' : _('%s ms').format(us < 1000 ? (us / 1000).toFixed(2) : (us / 1000).toFixed(1));
	},

	/* A moment as the daemon writes it; one from a clock that was not set is marked. */
	when(stamp) {
		if (!stamp || !stamp.wall)
			return _('at an unknown time');
		const text = stamp.wall.replace('T', ' ').replace(/\.\d+/, '').replace(/Z$/, ' UTC');
		return stamp.synced ? text : _('%s (clock not set)').format(text);
	},

	/* ---- words ---- */

	line(state) {
		return { up: _('Up'), down: _('Down') }[state] || _('Unknown');
	},

	tone(state) {
		return { up: 'lk-good', down: 'lk-bad' }[state] || 'lk-wait';
	},

	finding(name) {
		return {
			outage: _('Outage'),
			flapping: _('Many short outages'),
			short_rate: _('Slower than promised'),
			no_names: _('Names are not resolved'),
			portal: _('A login page in between'),
			device: _('This gateway does badly'),
			high_latency: _('Round trips longer than promised'),
			loss: _('More losses than promised'),
			usage: _('Unusual traffic')
		}[name] || name;
	},

	domain(name) {
		return {
			device: _('this gateway'),
			lan: _('the network at home'),
			link: _('cable or modem'),
			access: _("the operator's access"),
			gateway: _("the operator's first router"),
			upstream: _("beyond the operator's first router"),
			name: _('name resolution'),
			portal: _('a login page'),
			server: _('the test server'),
			unknown: _('not known')
		}[name] || name;
	},

	rung(name) {
		return {
			'renew': _('Renew the address'),
			'other-resolver': _('Use another name server'),
			'restart-interface': _('Restart the interface'),
			'restart-network': _('Restart all networking'),
			'power-modem': _('Switch the modem off and on'),
			'reboot': _('Reboot the gateway')
		}[name] || name;
	},

	outcome(name) {
		return {
			healed: _('the line came back'),
			no_effect: _('no effect'),
			failed: _('could not be carried out'),
			pretended: _('only said, not done'),
			interrupted: _('interrupted')
		}[name] || (name ? name : _('in progress'));
	},

	callback(state) {
		return {
			covered: _("Covered by the operator's notice"),
			requested: _('Requested, no receipt yet'),
			received: _('Received by the operator'),
			scheduled: _('A call is planned'),
			closed: _('Closed'),
			withdrawn: _('Withdrawn: the line healed before'),
			refused: _('Refused by the operator')
		}[state] || state;
	},

	trigger(name) {
		/* The programme's are named after their time: 24h, 7d. */
		if (/^\d+(d|h|min|s)$/.test(name))
			return _('Follow-up call, %s after the installation').format(this.after(name));
		return {
			outage: _('Outage'),
			flapping: _('Many short outages'),
			no_names: _('Names are not resolved'),
			portal: _('A login page in between'),
			speed: _('Slower than promised'),
			high_latency: _('Round trips longer than promised'),
			loss: _('More losses than promised'),
			usage: _('Unusual traffic'),
			device_warning: _('This gateway does badly'),
			recheck: _('Follow-up call after a complaint'),
			customer: _('You asked')
		}[name] || name;
	},

	after(name) {
		const n = parseInt(name);
		return { d: _('%d d'), h: _('%d h'), min: _('%d min'), s: _('%d s') }[name.replace(/\d+/, '')].format(n);
	},

	health(name) {
		return {
			cpu: _('Processor in use'),
			memory: _('Memory available'),
			flash: _('Flash free'),
			temperature: _('Hottest sensor'),
			conntrack: _('Connection table in use'),
			port_errors: _('Packets damaged on the WAN port'),
			port_speed: _('WAN port slower than before'),
			port_duplex: _('WAN port at half duplex'),
			restarts: _('Unexpected restarts')
		}[name] || name;
	},

	usage(name) {
		return {
			much_received: _('Far more is received than usual at this hour.'),
			much_sent: _('Far more is sent than usual at this hour.'),
			little_received: _('Hardly anything is received at an hour that is usually busy.')
		}[name] || name;
	},

	direction(name) {
		return { download: _('Download'), upload: _('Upload') }[name] || name;
	},

	reason(name) {
		return {
			too_few: _('not enough tests yet'),
			cross_traffic: _('the line was in use'),
			gateway_cpu: _("this gateway's processor is at its limit"),
			server: _('the test server is at its limit'),
			window: _("the test's own buffers held it back"),
			unconfirmed: _('a second test server has not confirmed it'),
			port: _('the port negotiated less than the promise'),
			budget: _('the data budget for tests is spent'),
			clock: _('the clock is not set'),
			local: _('something on this gateway keeps tests from being made'),
			unknown: _('what held the tests back could not be told')
		}[name] || name;
	},

	verdict(side) {
		switch (side.verdict.verdict) {
		case 'kept': return [ 'lk-good', _('kept') ];
		case 'broken': return [ 'lk-bad', _('broken') ];
		default: return [ 'lk-wait', _('not to be said: %s').format(this.reason(side.verdict.reason)) ];
		}
	},

	standing(name) {
		return {
			kept: [ 'lk-good', _('kept') ],
			broken: [ 'lk-bad', _('broken') ]
		}[name] || [ 'lk-wait', _('not known yet') ];
	},

	badge(tone, text) {
		return E('span', { 'class': tone }, [ E('span', { 'class': 'lk-dot ' + tone }), text ]);
	},

	/* ---- the last week, hour by hour ---- */

	/* Each hour with a result is a bar: how much of the normal rate the worst of its results showed. */
	plot(side, now) {
		const W = 820, H = 128, L = 40, R = 6, T = 8, B = 18;
		const from = now - 7 * DAY, most = 1200;
		const x = at => L + (at - from) / (7 * DAY) * (W - L - R);
		const y = share => T + (1 - Math.min(share, most) / most) * (H - T - B);
		const hours = {};
		let bar = null;

		for (const r of side.last) {
			const at = Math.floor((now - r.ms_ago) / HOUR) * HOUR;
			if (at < from)
				continue;
			if (!hours[at] || r.share < hours[at].share)
				hours[at] = r;
			if (r.share > 0 && r.line > 0)
				bar = side.enough / r.line * r.share;
		}

		const parts = [];
		for (const share of [ 0, 500, 1000 ])
			parts.push(
				svg('line', { 'class': 'lk-axis', x1: L, x2: W - R, y1: y(share), y2: y(share) }),
				svg('text', { x: L - 5, y: y(share) + 3, 'text-anchor': 'end' }, [ '%d %%'.format(share / 10) ]));

		const midnight = new Date(now);
		midnight.setHours(0, 0, 0, 0);
		for (let day = 0; day < 8; day++) {
			const begin = new Date(midnight.getTime());
			begin.setDate(begin.getDate() - day);
			const end = new Date(begin.getTime());
			end.setDate(end.getDate() + 1);
			if (begin.getTime() >= from)
				parts.push(svg('line', { 'class': 'lk-axis', x1: x(begin), x2: x(begin), y1: T, y2: H - B }));
			const left = Math.max(x(begin), L), right = Math.min(x(end), W - R);
			if (right - left > 40)
				parts.push(svg('text', { x: (left + right) / 2, y: H - 4, 'text-anchor': 'middle' },
					[ begin.toLocaleDateString(locale(), { weekday: 'short', day: 'numeric' }) ]));
		}

		if (bar != null)
			parts.push(svg('line', { x1: L, x2: W - R, y1: y(bar), y2: y(bar), stroke: '#c77700', 'stroke-width': 1,
				'stroke-dasharray': '5 3' }));

		const width = (W - L - R) / 168;
		for (const at in hours) {
			const r = hours[at];
			parts.push(svg('rect', { 'class': 'lk-bar', x: Math.min(x(+at), W - R - width), width: width, y: y(r.share), height: Math.max(y(0) - y(r.share), 2),
				fill: r.short ? '#d63a2f' : '#27a35b' }, [
				svg('title', {}, [ '%s: %s (%s %%)'.format(new Date(now - r.ms_ago).toLocaleString(locale()),
					this.rate(r.line), (r.share / 10).toFixed(0)) ])
			]));
		}

		return svg('svg', { 'class': 'lk-plot', viewBox: '0 0 %d %d'.format(W, H), role: 'img',
			'aria-label': _('%s in the last week, hour by hour').format(this.direction(side.direction)) }, parts);
	},

	legend() {
		const key = (color, text) => E('span', {}, [ E('span', { 'class': 'lk-key', 'style': 'background:' + color }), text ]);
		return E('div', { 'class': 'lk-legend' }, [
			key('#27a35b', _('reaches what is to be shown')),
			key('#d63a2f', _('below it')),
			E('span', {}, [
				E('span', { 'class': 'lk-key', 'style': 'height:0;border-top:2px dashed #c77700;vertical-align:.25em;width:1.4em' }),
				_('what a test has to show')
			]),
			E('span', { 'class': 'lk-quiet' }, [ _('100 % is the normal rate that was promised; no bar: no test in that hour, or none kept') ])
		]);
	}
});

'use strict';
'require view';
'require dom';
'require poll';
'require rpc';
'require uci';
'require ui';
'require linekeeper.show as show';

const callCallback = rpc.declare({
	object: 'linekeeper',
	method: 'callback',
	params: [ 'reason' ],
	expect: { '': {} }
});

const callSpeedtest = rpc.declare({
	object: 'linekeeper',
	method: 'speedtest',
	params: [ 'start' ],
	expect: { '': {} }
});

const callDiagnose = rpc.declare({
	object: 'linekeeper',
	method: 'diagnose',
	expect: { '': {} }
});

function table(titles, rows, none) {
	if (!rows.length)
		return E('p', { 'class': 'lk-quiet' }, [ E('em', {}, [ none ]) ]);
	const t = E('table', { 'class': 'table' }, [
		E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [ title ])))
	]);
	rows.forEach((row, at) => t.appendChild(E('tr', { 'class': 'tr cbi-rowstyle-%d'.format(at % 2 + 1) },
		row.map((cell, column) => E('td', { 'class': 'td', 'data-title': titles[column] }, Array.isArray(cell) ? cell : [ cell ])))));
	return t;
}

function alert(tone, parts) {
	return E('div', { 'class': 'alert-message ' + tone }, parts);
}

function section(title, parts) {
	return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]) ].concat(parts));
}

return view.extend({
	handleSaveApply: null,
	handleSave: null,
	handleReset: null,

	load() {
		return Promise.all([ show.load(), L.resolveDefault(uci.load('linekeeper')) ]);
	},

	off() {
		return uci.get('linekeeper', 'main', 'enabled') === '0';
	},

	/* What is not as it should be, before anything else. */
	warnings(answer) {
		const s = answer.status, parts = [];
		if (!s) {
			const off = this.off();
			const words = off
				? _('The watch is switched off. Name at least one target and switch it on in the settings.')
				: answer.error
					? _('The watch does not answer. It may not have started: see the system log.')
					: _('This page reaches the watch by rpcd, which does not know it. Restart rpcd or the gateway.');
			parts.push(alert(off ? 'notice' : 'warning', [
				E('h4', {}, [ _('Nobody watches the line') ]),
				E('p', {}, [ words ]),
				E('p', {}, [ E('a', { 'href': L.url('admin/network/linekeeper/settings') }, [ _('Line settings') ]) ]),
				answer.error && !off ? E('pre', {}, [ answer.error ]) : ''
			]));
		}
		if (answer.config_faults && answer.config_faults.length)
			parts.push(alert('warning', [
				E('h4', {}, [ _('Parts of the settings are not used') ]),
				E('ul', {}, answer.config_faults.map(fault => E('li', {}, [ fault ])))
			]));
		if (s && !s.clock_synced)
			parts.push(alert('notice', [
				_('The clock of this gateway is not set yet. Times below may be wrong; they are corrected in what the operator gets once it is.')
			]));
		if (s && s.notice)
			parts.push(alert('notice', [ _('The operator knows of a fault in this area: %s').format(s.notice) ]));
		if (s && s.interface && s.interface[1] === 'taken_down')
			parts.push(alert('notice', [ _('Somebody took the interface %s down. It is left so until it is taken up again (Network, Interfaces).').format(s.interface[0]) ]));
		if (s && s.hands_off)
			parts.push(alert('notice', [ _('Nothing that disturbs is done now: %s').format(s.hands_off) ]));
		for (const w of (s && s.warnings || []))
			parts.push(alert('warning', [
				E('strong', {}, [ '%s: '.format(show.health(w.name)) ]),
				_('%s, for %s').format(w.text, show.span(w.since_ms))
			]));
		for (const kind of (s && s.usage && s.usage.unusual || []))
			parts.push(alert('notice', [ show.usage(kind) ]));
		for (const part in (s ? s.troubles : {}))
			parts.push(alert('warning', [ '%s: %s'.format(part, s.troubles[part]) ]));
		return parts;
	},

	lineNow(answer) {
		const s = answer.status, facts = [];
		if (s.rtt_us != null && s.line === 'up')
			facts.push(_('round trip %s').format(show.millis(s.rtt_us)));
		if (s.traffic_bps)
			facts.push(_('%s in, %s out').format(show.rate(s.traffic_bps[0]), show.rate(s.traffic_bps[1])));
		facts.push(answer.mqtt ? (s.broker ? _('operator reached') : _('operator not reached')) : _('no operator configured'));
		if (answer.waiting)
			facts.push(_('messages waiting for the operator: %d').format(answer.waiting));
		if (answer.dropped)
			facts.push(_('messages given up: %d').format(answer.dropped));
		if (s.disconnects)
			facts.push(_('short breaks, not acted on: %d').format(s.disconnects));
		return E('div', { 'class': 'cbi-section' }, [
			E('div', { 'class': 'lk-head' }, [
				E('span', { 'class': 'lk-state' }, [ show.badge(show.tone(s.line), show.line(s.line)) ]),
				E('span', {}, [ _('for %s').format(show.span(s.since_ms)) ]),
				E('span', { 'class': 'lk-facts' }, facts.map(fact => E('span', {}, [ fact ])))
			])
		]);
	},

	incident(s) {
		const parts = [];
		/* One about silence, one about speed, one each about round trips and losses. */
		const q = s.quality || {};
		const now = [ s.incident, s.promise && s.promise.incident, q.latency && q.latency.incident, q.loss && q.loss.incident ].filter(i => i);
		for (const i of now)
			parts.push(E('p', {}, [
				E('strong', {}, [ show.finding(i.finding) ]), ' ',
				i.state === 'open'
					? show.badge('lk-bad', _('in progress'))
					: show.badge('lk-good', _('over')),
				E('br'),
				_('Fault lies in: %s').format(show.domain(i.fault_domain)), E('br'),
				[ 'short_rate', 'high_latency', 'loss' ].includes(i.finding)
					? _('Since %s').format(show.when(i.opened))
					: _('Since %s, breaks: %d, %s without a line').format(show.when(i.opened), i.breaks, show.span(i.down_ms)),
				E('span', { 'class': 'lk-quiet' }, [ ' · ' + i.id ])
			]));
		if (s.incident) {
			parts.push(table([ _('What was tried'), _('Outcome'), _('Took'), _('Details') ],
				s.remedies.map(r => [
					show.rung(r.name),
					show.badge(r.outcome === 'healed' ? 'lk-good' : 'lk-wait', show.outcome(r.outcome)),
					r.took_ms == null ? '–' : show.span(r.took_ms),
					r.detail || '–'
				]), _('Nothing tried yet')));
		}
		if (s.recent.length || !now.length)
			parts.push(table([ _('Earlier incidents'), _('Fault lay in'), _('Since'), _('Without a line') ],
			s.recent.slice().reverse().map(i => [
				show.finding(i.finding), show.domain(i.fault_domain), show.when(i.opened), show.span(i.down_ms)
			]), _('None so far')));
		const record = s.rungs.filter(r => r.tried);
		if (record.length)
			parts.push(table([ _('What repairs did for this line'), _('Fault lay in'), _('Healed'), _('Took about') ],
				record.map(r => [
					show.rung(r.rung), show.domain(r.domain),
					_('%d of %d').format(r.healed, r.tried) + (r.left_out ? ' · ' + _('left out: it never helped') : ''),
					r.heal_ms == null ? '–' : show.span(r.heal_ms)
				])));
		if (s.budgets.length)
			parts.push(E('p', { 'class': 'lk-quiet' }, [
				_('Repairs in the last 24 hours:') + ' ' + s.budgets.map(b => _('%s %d of %d').format(show.rung(b[0]), b[1], b[2])).join(' · ')
			]));
		return section(_('Incidents'), parts);
	},

	promise(s) {
		const p = s.promise, parts = [];
		if (!p)
			return section(_('Promise'), [ E('p', {}, [ E('em', {}, [ _('What was sold is not configured, so it is not judged.') ]) ]) ]);
		for (const side of p.directions) {
			const [ tone, words ] = show.verdict(side), last = side.last[side.last.length - 1];
			parts.push(E('div', {}, [
				E('strong', {}, [ show.direction(side.direction) + ':' ]), ' ', show.badge(tone, words),
				last
					? ' · ' + (last.server ? _('last test %s (%d %% of the normal rate), %s') : _('last seen in use %s (%d %% of the normal rate), %s'))
						.format(show.rate(last.line), Math.round(last.share / 10), show.ago(last.ms_ago))
					: '',
				show.plot(side, Date.now())
			]));
		}
		if (p.directions.length)
			parts.push(show.legend());
		let next = _('no tests');
		if (p.running)
			next = _('%s is being tested').format(show.direction(p.running));
		else if (p.next_test_ms === 0)
			next = _('a test waits for a quiet line');
		else if (p.next_test_ms != null)
			next = _('next test in %s').format(show.span(p.next_test_ms));
		parts.push(E('p', { 'class': 'lk-quiet' }, [
			_('Rule %s').format(p.rule) + ' · ' + next + ' · ' +
				_('tests used %s of %s today, %s of %s in 31 days').format(show.bytes(p.day[0]), show.bytes(p.day[1]), show.bytes(p.month[0]), show.bytes(p.month[1]))
		]));
		if (p.port)
			parts.push(alert('warning', [ _('The WAN port negotiated only %s.').format(show.rate(p.port)) ]));
		for (const server of p.servers)
			if (server.trouble)
				parts.push(alert('notice', [ '%s: %s'.format(server.url, server.trouble) ]));
		return section(_('Promise'), parts);
	},

	/* Round trips and losses against what was promised. */
	quality(s) {
		const q = s.quality;
		if (!q)
			return '';
		const parts = [];
		const measure = (title, m, words) => {
			if (!m)
				return;
			const [ tone, standing ] = show.standing(m.standing);
			parts.push(E('div', {}, [
				E('strong', {}, [ title + ':' ]), ' ', show.badge(tone, standing),
				' · ' + _('promised %s, above it in %d of the last %d windows').format(words(m.limit), m.failing, m.windows),
				m.last == null ? '' : ' · ' + _('last %s, %s').format(words(m.last), show.ago(m.last_ms_ago))
			]));
		};
		measure(_('Round trips (95 of 100 within)'), q.latency, show.millis);
		measure(_('Losses'), q.loss, permille => _('%s %%').format((permille / 10).toFixed(1)));
		for (const l of (q.loaded || []))
			parts.push(E('p', { 'class': 'lk-quiet' }, [
				_('%s test, %s: round trip %s under its load, %s before it').format(
					show.direction(l.direction), show.ago(l.ms_ago), show.millis(l.loaded_us), show.millis(l.idle_us))
			]));
		return section(_('Quality'), parts);
	},

	availability(s) {
		const a = s.availability, latest = (periods, n) => periods.filter(p => p.date).slice(-n).reverse();
		if (!a)
			return '';
		const cell = ms => ms ? show.span(ms) : '–';
		const row = (name, p) => [ name, show.ppm(p.available_ppm) ].concat(
			[ p.line_ms, p.remedies_ms, p.tests_ms, p.power_ms, p.unknown_ms ].map(cell));
		const parts = [ table([ '', _('Available'), _('Down'), _('Our repairs'), _('Our tests'), _('No power'), _('Not watched') ],
			latest(a.days, 3).concat(latest(a.months, 2)).map(p => row(p.date, p)).concat([ row(_('in all'), a.total) ])) ];
		const u = s.unasked || {};
		if (u.power_cuts || u.crashes)
			parts.push(E('p', { 'class': 'lk-quiet' }, [
				_('Unexpected restarts: %d of this gateway, %d of the watch alone').format(u.power_cuts, u.crashes)
			]));
		return section(_('Availability'), parts);
	},

	/* When the calls of a new installation are due. */
	programme(s) {
		if (!s.programme || !s.programme.length)
			return '';
		const each = s.programme.map(d => '%s: %s'.format(show.after(d.name),
			d.done ? _('done') : d.due.replace('T', ' ').replace(/:00(\.\d+)?([+-]\d\d:\d\d|Z)$/, '')));
		return E('p', { 'class': 'lk-quiet' }, [ _('Follow-up calls after the installation:') + ' ' + each.join(' · ') ]);
	},

	callbacks(s) {
		const tone = { requested: 'lk-wait', received: 'lk-good', scheduled: 'lk-good', refused: 'lk-bad' };
		return section(_('Calls by the operator'), [
			table([ _('Number'), _('State'), _('Because of'), _('What you will be told') ],
				s.callbacks.slice().reverse().map(c => [
					E('span', { 'class': 'lk-id' }, [ c.callback_id ]), show.badge(tone[c.state] || '', show.callback(c.state)), show.trigger(c.trigger), c.description
				]), _('None so far')),
			this.programme(s)
		]);
	},

	targets(s) {
		const roles = { gateway: _("operator's first router"), anchor: _("in the operator's network"), world: _('beyond it') };
		return section(_('Who is asked'), [
			table([ _('Host'), _('Where'), _('Round trip'), _('Last answer') ],
				s.targets.map(t => [
					t.host === 'gateway' ? _('default gateway') : t.host,
					roles[t.role] || t.role,
					show.millis(t.rtt_us),
					t.answered_ms_ago == null ? _('never') : show.ago(t.answered_ms_ago) + (t.bad ? ' · ' + _('out of rotation') : '')
				]), _('Nobody'))
		]);
	},

	update(answer) {
		const s = answer.status;
		dom.content(this.top, this.warnings(answer).concat(s ? [ this.lineNow(answer), this.incident(s), this.callbacks(s) ] : []));
		dom.content(this.sold, s ? [ this.promise(s), this.quality(s) ] : []);
		dom.content(this.bottom, s ? [ this.availability(s), this.targets(s) ] : []);
		this.middle.style.display = this.test.style.display = s ? '' : 'none';
		/* It needs no daemon, but a configuration, which there is not while it is switched off. */
		this.find.style.display = s || !this.off() ? '' : 'none';
		dom.content(this.foot, s ? [ _('linekeeper %s watches for %s, running for %s').format(answer.version, answer.device_id, show.span(answer.running_ms)) ] : []);
	},

	handleCall(ev) {
		const reason = this.reason.value.trim();
		return callCallback(reason).then(L.bind(function(answer) {
			if (answer.callback_id) {
				this.reason.value = '';
				dom.content(this.said, [ show.badge('lk-good', _('Call %s is under way: the operator will ring you.').format(answer.callback_id)) ]);
			}
			else {
				dom.content(this.said, [ show.badge('lk-bad', answer.error || _('No call was opened. Try again later.')) ]);
			}
			return show.load().then(L.bind(this.update, this));
		}, this));
	},

	speedResult(result) {
		if (result.error)
			return [ show.badge('lk-bad', result.error) ];
		const tests = (result.tests || []).map(function(test) {
			const rate = test.outcome && test.outcome.line != null ? test.outcome.line : null;
			return '%s %s'.format(show.direction(test.direction), rate == null ? _('could not be measured') : show.rate(rate));
		});
		return [ show.badge('lk-good', tests.join(' · ')) ];
	},

	handleSpeed(start) {
		return callSpeedtest(start).then(L.bind(function(answer) {
			if (answer.state === 'running') {
				dom.content(this.speed, [ show.badge('lk-wait', _('Testing, %d s so far …').format(answer.seconds)) ]);
				return new Promise(done => window.setTimeout(done, 2000)).then(L.bind(this.handleSpeed, this, false));
			}
			if (answer.state === 'done')
				dom.content(this.speed, this.speedResult(answer.result));
		}, this));
	},

	/* What was asked and came back is in the daemon's own words. */
	findings(answer) {
		if (answer.error)
			return [ show.badge('lk-bad', answer.error) ];
		const tone = { ok: 'lk-good', warning: 'lk-wait', 'not checked': 'lk-wait' };
		const domain = answer.fault_domain;
		return [
			E('p', {}, [
				domain
					? show.badge('lk-bad', _('Fault lies in: %s').format(show.domain(domain)))
					: show.badge('lk-good', _('No fault found')),
				' · ' + answer.carried_by,
				domain ? E('br') : '',
				domain ? _('What to do: %s').format(answer.advice) : ''
			]),
			table([ _('Layer'), _('Asked'), _('Came back'), _('Verdict') ], (answer.layers || []).map(l => [
				l.layer, l.asked, l.came_back, show.badge(tone[l.verdict] || 'lk-bad', l.verdict)
			]))
		];
	},

	handleDiagnose(ev) {
		dom.content(this.found, [ show.badge('lk-wait', _('Asking every layer, some seconds …')) ]);
		return callDiagnose().then(L.bind(function(answer) {
			dom.content(this.found, this.findings(answer));
		}, this));
	},

	render(loaded) {
		const may = L.hasViewPermission();
		this.top = E('div');
		this.sold = E('div');
		this.bottom = E('div');
		this.foot = E('p', { 'class': 'lk-quiet' });
		this.said = E('div', { 'class': 'lk-said' });
		this.speed = E('span', { 'class': 'lk-said' });
		this.found = E('div', { 'class': 'lk-said' });
		this.reason = E('textarea', {
			'id': 'lk-reason', 'maxlength': 500, 'disabled': may ? null : true,
			'placeholder': _('What troubles you? The operator reads it before the call. It may be left empty.')
		});
		this.middle = E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ _('Call me') ]),
			E('p', {}, [ _('Asks the operator to ring you, whatever the line looks like from here.') ]),
			E('div', { 'class': 'lk-call' }, [
				this.reason,
				E('button', {
					'class': 'btn cbi-button cbi-button-action', 'id': 'lk-call', 'disabled': may ? null : true,
					'click': ui.createHandlerFn(this, 'handleCall')
				}, [ _('Please call me') ])
			]),
			this.said
		]);
		this.test = E('div', { 'class': 'cbi-section' }, [
			E('button', {
				'class': 'btn cbi-button', 'id': 'lk-speed', 'disabled': may ? null : true,
				'click': ui.createHandlerFn(this, 'handleSpeed', true)
			}, [ _('Test the speed now') ]), ' ',
			this.speed
		]);
		this.find = E('div', { 'class': 'cbi-section' }, [
			E('button', {
				'class': 'btn cbi-button', 'id': 'lk-find', 'disabled': may ? null : true,
				'click': ui.createHandlerFn(this, 'handleDiagnose')
			}, [ _('Find the fault now') ]),
			this.found
		]);
		this.update(loaded[0]);
		poll.add(L.bind(function() {
			return show.load().then(L.bind(this.update, this));
		}, this), 5);
		return E('div', {}, [ show.style(), E('h2', {}, [ _('Broadband line') ]), this.top, this.find, this.middle, this.sold, this.test, this.bottom, this.foot ]);
	}
});

'use strict';
'require baseclass';
'require linekeeper.show as show';

return baseclass.extend({
	title: _('Broadband line'),

	load() {
		return show.load();
	},

	render(answer) {
		const s = answer.status;
		const row = (name, value) => E('tr', { 'class': 'tr' }, [
			E('td', { 'class': 'td left', 'width': '33%' }, [ name ]),
			E('td', { 'class': 'td left' }, Array.isArray(value) ? value : [ value ])
		]);
		const rows = [];
		if (!s) {
			rows.push(row(_('State'), show.badge('lk-wait', _('Nobody watches the line'))));
		}
		else {
			rows.push(row(_('State'), [ show.badge(show.tone(s.line), show.line(s.line)), ' ', _('for %s').format(show.span(s.since_ms)) ]));
			for (const side of (s.promise ? s.promise.directions : [])) {
				const [ tone, words ] = show.verdict(side);
				rows.push(row(_('Promise, %s').format(show.direction(side.direction)), show.badge(tone, words)));
			}
			if (s.incident && s.incident.state === 'open')
				rows.push(row(_('Incident'), '%s · %s'.format(show.finding(s.incident.finding), show.domain(s.incident.fault_domain))));
			const live = s.callbacks.filter(c => [ 'requested', 'received', 'scheduled' ].indexOf(c.state) >= 0).pop();
			if (live)
				rows.push(row(_('Call by the operator'), show.callback(live.state)));
		}
		rows.push(row('', E('a', { 'href': L.url('admin/network/linekeeper/status') }, [ _('More') ])));
		return E('div', {}, [ show.style(), E('table', { 'class': 'table' }, rows) ]);
	}
});

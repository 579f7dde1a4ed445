'use strict';
'require view';
'require form';
'require uci';

/* Every option of /etc/config/linekeeper. What holds where nothing is written stands as the placeholder. */

const UNITS = {
	time: [ /^\d+(\.\d+)? ?(ms|s|min|h|d)$/, _('a time with its unit: 500 ms, 5 s, 2 min, 1 h, 1 d') ],
	rate: [ /^\d+(\.\d+)? ?(bit|kbit|Mbit|Gbit)\/s$/, _('a rate with its unit: 64 kbit/s, 100 Mbit/s, 1 Gbit/s') ],
	size: [ /^\d+(\.\d+)? ?(B|kB|MB|GB)$/, _('an amount with its unit: 256 kB, 1 MB, 20 GB') ],
	warmth: [ /^\d+(\.\d+)? ?°?C$/, _('a temperature: 95 °C') ],
	share: [ /^\d+(\.\d+)? ?%$/, _('a share: 0.5 %, 80 %') ],
	id: [ /^[A-Za-z0-9._-]{1,64}$/, _('1 to 64 of A-Z a-z 0-9 . _ -') ],
	area: [ /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, _('A-Z a-z 0-9 . _ -, with single / between the levels') ],
	digits: [ /^[0-9A-Fa-f]{64}$/, _('64 hexadecimal digits') ],
	date: [ /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)$/, _('a date like 2026-11-20T09:00:00+08:00') ],
	path: [ /^\//, _('an absolute path') ],
	broker: [ /^mqtts?:\/\/[^\/@]+\/?$/, _('mqtts://HOST or mqtt://HOST, with :PORT if need be') ],
	server: [ /^https?:\/\/[^@]+$/, _('http://HOST/ or https://HOST/') ],
	page: [ /^http:\/\/[^@]+$/, _('http://HOST/PATH') ],
	until: [ /^(none|\d+(\.\d+)? ?(s|min|h|d))$/, _('a time with its unit: 24 h, 7 d; or none') ]
};

const RUNGS = [
	[ 'renew', _('Renew the address') ],
	[ 'other-resolver', _('Use another name server') ],
	[ 'restart-interface', _('Restart the interface') ],
	[ 'restart-network', _('Restart all networking') ],
	[ 'power-modem', _('Switch the modem off and on') ],
	[ 'reboot', _('Reboot the gateway') ]
];

/* Of each rung: how long it may take, how long after it the line is back, how often a day and in one incident. */
const USUAL = {
	'renew': [ '10 s', '4 s', '24', '12' ],
	'other-resolver': [ '10 s', '15 s', '6', '3' ],
	'restart-interface': [ '15 s', '8 s', '6', '6' ],
	'restart-network': [ '45 s', '20 s', '3', '3' ],
	'power-modem': [ '1 min', '3 min', '3', '3' ],
	'reboot': [ '2 min', '4 min', '1', '1' ]
};

/* An option that holds a text of this form. */
function text(section, name, unit, title, usual, words) {
	const o = section.option(form.Value, name, title, words);
	o.placeholder = usual || '';
	o.rmempty = true;
	if (unit)
		o.validate = function(section_id, value) {
			return !value || UNITS[unit][0].test(value) ? true : _('Expecting: %s').format(UNITS[unit][1]);
		};
	return o;
}

function number(section, name, least, most, title, usual, words) {
	const o = section.option(form.Value, name, title, words);
	o.datatype = 'range(%d,%d)'.format(least, most);
	o.placeholder = usual;
	o.rmempty = true;
	return o;
}

function flag(section, name, usual, title, words) {
	const o = section.option(form.Flag, name, title, words);
	o.default = usual;
	o.rmempty = true;
	return o;
}

function list(section, name, unit, title, words) {
	const o = section.option(form.DynamicList, name, title, words);
	o.rmempty = true;
	if (unit === 'host' || unit === 'ipaddr')
		o.datatype = unit;
	else if (unit)
		o.validate = function(section_id, value) {
			return !value || UNITS[unit][0].test(value) ? true : _('Expecting: %s').format(UNITS[unit][1]);
		};
	return o;
}

function choice(section, name, title, choices, words) {
	const o = section.option(form.ListValue, name, title, words);
	choices.forEach(pair => o.value(pair[0], pair[1]));
	o.default = choices[0][0];
	o.rmempty = true;
	return o;
}

return view.extend({
	load() {
		return uci.load('linekeeper');
	},

	render() {
		const m = new form.Map('linekeeper', _('Line settings'),
			_('A value that the watch does not understand is left out, its default holds, and the status page says so.'));
		m.tabbed = true;

		const section = function(name, title, words, type) {
			/* A firmware's own file may lack it. */
			if (!uci.get('linekeeper', name))
				uci.add('linekeeper', type || name, name);
			const s = m.section(form.NamedSection, name, type || name, title, words);
			s.addremove = false;
			return s;
		};

		let s = section('main', _('General'), null, 'linekeeper');
		flag(s, 'enabled', '1', _('Watch the line'), _('Wants at least one target.'));
		flag(s, 'dry_run', '0', _('Only say it'), _('No remedy, no message, nothing on flash: the system log tells what would be done.'));
		flag(s, 'verbose', '0', _('Log each detail'));
		flag(s, 'jail', '0', _('Run in a jail'), _('Without the rights of root, where the firmware has procd-ujail. Only without repairs.'));
		text(s, 'button', null, _('Button'), '', _('A button of this gateway that asks for a call when held for three seconds: its name in /etc/rc.button.'));
		text(s, 'button_led', null, _('Light of the button'), '', _('Shows whether the call could be asked for: its name in /sys/class/leds.'));

		s = section('device', _('Gateway'));
		text(s, 'id', 'id', _('Identity'), _('from the board'), _("Unique among the operator's gateways."));
		text(s, 'customer', null, _('Customer'), '', _("The operator's opaque reference. Never a name or a telephone number."));
		text(s, 'area', 'area', _('Area'), '', _("The operator's name for this part of the network, like north-3/olt-7."));
		text(s, 'installed', 'date', _('Installed'), '', _('When the line was installed. Its offset from UTC is the one in which times are shown.'));
		choice(s, 'language', _('Language of callbacks'), [ [ 'en', 'English' ], [ 'zh-CN', '简体中文' ] ]);

		s = section('line', _('Line'));
		text(s, 'device', null, _('WAN device'), _('the one with the default route'), _("The kernel's name, like eth1 or pppoe-wan."));
		text(s, 'interface', null, _('Interface'), _('the one that has the device'), _("OpenWrt's name, like wan: what repairs restart."));
		choice(s, 'protocol', _('Gets its address by'), [ [ 'dhcp', 'DHCP' ], [ 'pppoe', 'PPPoE' ], [ 'static', _('a fixed one') ] ]);
		text(s, 'port', null, _('Port below the session'), '', _("With PPPoE: the kernel's name, like eth1."));
		flag(s, 'metered', '0', _('Metered'), _('Each byte costs money: no speed tests.'));

		s = section('probe', _('Targets'), _("A fault can only be placed with at least one host in the operator's network and one beyond it."));
		list(s, 'anchor', 'host', _("In the operator's network"));
		list(s, 'world', 'host', _('Beyond it'));
		flag(s, 'gateway', '1', _('Ask the default gateway too'));
		text(s, 'interval', 'time', _('Between two echoes'), '500 ms', _('100 ms to 1 min, over all targets in rotation.'));
		text(s, 'timeout', 'time', _('An echo waits'), '1 s', _('100 ms to 10 s.'));
		text(s, 'grace', 'time', _('After a boot'), '2 min', _('How long a line that was never up is only waited for; at most 1 h.'));

		s = section('promise', _('Promise'), _('What was sold. What is left empty was not promised.'));
		for (const [ way, name ] of [ [ 'download', _('Download') ], [ 'upload', _('Upload') ] ]) {
			text(s, way + '_minimum', 'rate', _('%s, never below').format(name));
			text(s, way + '_normal', 'rate', _('%s, most of the time').format(name));
			text(s, way + '_maximum', 'rate', _('%s, sometimes').format(name));
		}
		text(s, 'latency', 'time', _('Highest round trip'));
		text(s, 'loss', 'share', _('Highest loss'));
		choice(s, 'rule', _('Judged by'), [
			[ 'sequential', _('sequential test (fewest tests)') ],
			[ 'bnetza-2021', _('Bundesnetzagentur 2021 (Germany)') ],
			[ 'ctu-2021', _('ČTÚ 2021 (Czechia)') ],
			[ 'fcc-80-80', _('FCC 80/80 (United States)') ],
			[ 'share', _('so many short ones of the last') ]
		]);
		text(s, 'threshold', 'share', _('A test is short below'), '80 %', _('Share of the normal rate.'));
		number(s, 'share_short', 2, 32, _('Short ones'), '4').depends('rule', 'share');
		number(s, 'share_of', 2, 32, _('Of the last'), '6').depends('rule', 'share');

		s = section('speed', _('Speed tests'), _('Without servers there are no tests.'));
		list(s, 'servers', 'server', _('Servers'), _('1 to 4 web servers that give and take data, the preferred one first, near the access.'));
		text(s, 'budget_day', 'size', _('Most in 24 hours'), '1 GB');
		text(s, 'budget_month', 'size', _('Most in 31 days'), '20 GB');
		text(s, 'seconds', 'time', _('A test takes'), '10 s', _('3 s to 30 s.'));
		number(s, 'per_day', 1, 48, _('Rounds a day'), '10');
		text(s, 'quiet_window', 'time', _('Quiet over'), '10 s', _('3 s to 1 min.'));
		text(s, 'quiet_share', 'share', _('Quiet below'), '10 %', _('Share of the promise in use.'));

		s = section('name', _('Names'), _('Which name servers are asked: seldom while the line is up, and when a fault has to be placed.'));
		list(s, 'resolvers', 'ipaddr', _("The line's name servers"), _('1 to 3 addresses. Empty: those that the operator assigned.'));
		text(s, 'resolv_conf', 'path', _('File that names them'), '/tmp/resolv.conf.d/resolv.conf.auto');
		text(s, 'independent', null, _('An independent name server'), '', _('Where it answers and those of the line do not, another name server would help. Empty: none is asked.')).datatype = 'ipaddr';
		text(s, 'exists', null, _('A name that exists'), 'example.com', _('Empty: the first that stands in these settings.')).datatype = 'hostname';
		text(s, 'every', 'time', _('Asked every'), '5 min', _('10 s to 1 d, while the line is up.'));

		s = section('web', _('Login page'), _('Which web page tells whether somebody is in between. Without an address none is asked.'));
		text(s, 'url', 'page', _('Address'), '', _('By http:// only.'));
		number(s, 'status', 100, 599, _('Answers with the status'), '204');
		text(s, 'body', null, _('Answers with the text'), '', _('Not where the status is 204.'));
		text(s, 'every', 'time', _('Asked every'), '15 min', _('10 s to 1 d, while the line is up.'));

		s = section('health', _('Health'), _('When the gateway itself does badly: warnings in the log, on the status page and to the operator.'));
		text(s, 'every', 'time', _('Looked at every'), '60 s', _('5 s to 1 h.'));
		number(s, 'readings', 1, 60, _('Readings in a row'), '5', _('As many at the limit or beyond make a warning.'));
		for (const [ name, title, unit, failing, recovering ] of [
			[ 'cpu', _('Processor in use'), 'share', '95 %', '80 %' ],
			[ 'memory', _('Memory available'), 'share', '8 %', '15 %' ],
			[ 'flash', _('Flash free'), 'share', '5 %', '10 %' ],
			[ 'temperature', _('Hottest sensor'), 'warmth', '95 °C', '85 °C' ],
			[ 'conntrack', _('Connection table in use'), 'share', '90 %', '75 %' ],
			[ 'port_errors', _('Packets damaged on the WAN port'), 'share', '1 %', '0.1 %' ]
		]) {
			text(s, name + '_failing', unit, _('%s: warn at').format(title), failing);
			text(s, name + '_recovering', unit, _('%s: well again at').format(title), recovering);
		}

		s = section('usage', _('Usage'), _('When the traffic is unusual for its hour of the week. The operator is told, once a day at most; nothing else follows.'));
		flag(s, 'enabled', '1', _('Look at it'));
		text(s, 'lasts', 'time', _('Too much must last'), '15 min', _('15 min to 6 h.'));
		number(s, 'factor', 2, 100, _('Too much is so many times the usual'), '4');
		text(s, 'least', 'rate', _('And at least so much above it'), '1 Mbit/s', _('64 kbit/s to 1 Gbit/s.'));
		number(s, 'weeks', 2, 6, _('Weeks that must be known'), '3');
		flag(s, 'callback', '0', _('Ask for a call as well'));

		s = section('outage', _('Outage'));
		text(s, 'patience', 'time', _('Patience'), '2 s', _('A break shorter than this is counted, not acted on; 500 ms to 10 min.'));
		text(s, 'hold_down', 'time', _('Hold-down'), '5 min', _('Breaks that follow each other within this are one incident; 10 s to 6 h.'));
		number(s, 'flapping', 2, 100, _('Flapping from'), '5', _('As many breaks in one incident.'));
		text(s, 'veto', 'rate', _('Traffic that proves the line'), '10 kbit/s', _('1 kbit/s to 10 Mbit/s.'));

		s = section('remedies', _('Repairs'));
		choice(s, 'driver', _('Carried out by'), [
			[ 'none', _('nobody: only say what would be done') ],
			[ 'openwrt', _('OpenWrt (netifd)') ],
			[ 'script', _('a program of your own') ],
			[ 'linux', _('ip link and a DHCP client of your own') ]
		]);
		let o = list(s, 'ladder', null, _('May be tried, in order'), _('Empty: the first two.'));
		RUNGS.forEach(rung => o.value(rung[0], rung[1]));
		flag(s, 'learning', '1', _('Learn from this line'), _('What mended it before is tried first, what never did is left out.'));
		text(s, 'again', 'time', _('The same incident again after'), '30 min', _('Doubles with each pass up to a day.'));
		text(s, 'program', 'path', _('Program'), '', _('Gets the repair as its argument.')).depends('driver', 'script');
		list(s, 'dhcp_client', null, _('DHCP client'), _('One word a line.')).depends('driver', 'linux');
		text(s, 'dhcp_pidfile', 'path', _("File with the client's process id")).depends('driver', 'linux');
		o = list(s, 'other_resolver', null, _('Command for another name server'), _('One word a line; {resolver} stands for one that answered.'));
		o.depends('driver', 'linux');
		o.depends('driver', 'openwrt');
		o = list(s, 'power_modem', null, _("Command for the modem's power"), _('One word a line.'));
		o.depends('driver', 'linux');
		o.depends('driver', 'openwrt');
		list(s, 'restart_network', null, _('Command to restart all networking'), _('One word a line.')).depends('driver', 'linux');
		list(s, 'reboot', null, _('Command for a reboot'), _('One word a line.')).depends('driver', 'linux');
		for (const [ rung, title ] of RUNGS) {
			const name = rung.replace('-', '_');
			const [ limit, settle, day, incident ] = USUAL[rung];
			text(s, 'limit_' + name, 'time', _('%s: may take').format(title), limit);
			text(s, 'settle_' + name, 'time', _('%s: the line is back after').format(title), settle);
			number(s, 'per_day_' + name, 0, 100, _('%s: times a day').format(title), day);
			number(s, 'per_incident_' + name, 0, rung === 'reboot' ? 1 : 100, _('%s: times in an incident').format(title), incident);
		}

		s = section('callback', _('Calls'));
		text(s, 'after', 'time', _('Not before'), '60 s', _('An incident is not handed over before it has lasted this long; at most 1 d.'));
		text(s, 'quality', 'time', _('About long round trips or losses not before'), '30 min', _('5 min to 1 d.'));
		text(s, 'receipt', 'time', _('Ask again after'), '60 s', _('Without a receipt; doubles up to an hour.'));

		o = list(s, 'warnings', null, _('Call for warnings of'), _('Empty: none.'));
		for (const pair of [
			[ 'cpu', _('Processor in use') ], [ 'memory', _('Memory available') ], [ 'flash', _('Flash free') ],
			[ 'temperature', _('Hottest sensor') ], [ 'conntrack', _('Connection table in use') ],
			[ 'port_errors', _('Packets damaged on the WAN port') ], [ 'port_speed', _('WAN port slower than before') ],
			[ 'port_duplex', _('WAN port at half duplex') ],
			[ 'restarts', _('Unexpected restarts') ], [ 'none', _('none') ]
		])
			o.value(pair[0], pair[1]);

		s = section('programme', _('Follow-up calls'), _('Of a new installation: they need its date and a clock that NTP has set.'));
		list(s, 'after', 'until', _('Due after the installation'), _('Rising, up to 12. Empty: 24 h, 7 d, 30 d; none for none.'));

		s = section('telemetry', _('Summaries'), _('What the operator is told in ordinary times.'));
		text(s, 'every', 'time', _('A summary covers'), '1 h', _('5 min to 1 d.'));
		o = list(s, 'fields', null, _('What is in it'), _('Empty: all; none for no summaries.'));
		for (const pair of [ [ 'line', _('Line') ], [ 'echo', _('Round trips and loss') ], [ 'traffic', _('Traffic') ], [ 'speed', _('Speed tests') ], [ 'none', _('none') ] ])
			o.value(pair[0], pair[1]);

		s = section('privacy', _('Privacy'), _('What the operator is told of you. Addresses in the log are always masked.'));
		choice(s, 'addresses', _('Addresses'), [ [ 'masked', _('masked') ], [ 'full', _('as they are') ] ], _('Those of the hosts set here are never masked.'));
		o = list(s, 'fields', null, _('What is sent'), _('Empty: all; none for nothing of these.'));
		for (const pair of [
			[ 'customer', _('Reference to the customer') ], [ 'facts', _('What was seen') ], [ 'samples', _('Measurements') ],
			[ 'recorder', _('Two minutes, second by second') ], [ 'remedies', _('What was tried') ],
			[ 'troubles', _('What does not work here') ], [ 'none', _('none') ]
		])
			o.value(pair[0], pair[1]);

		s = section('commands', _('Orders'), _('What the operator may order by MQTT.'));
		o = list(s, 'allow', null, _('Obeyed'), _('Repairs and reboots interrupt you and are only obeyed where named here. Empty: the first four; none for none.'));
		for (const pair of [
			[ 'check', _('Check the line') ], [ 'speedtest', _('Test the speed') ], [ 'diagnose', _('Find the fault') ],
			[ 'programme', _('Ask for a call later') ], [ 'remedy', _('Repair') ], [ 'reboot', _('Reboot the gateway') ], [ 'none', _('none') ]
		])
			o.value(pair[0], pair[1]);
		text(s, 'key', 'digits', _('Public key'), '', _('Ed25519: with it, repairs and reboots must be signed.'));

		s = section('desired', _('Remote settings'), _("What the operator may set by MQTT; it is laid over these settings and not shown here."));
		flag(s, 'accept', '1', _('Accept them'), _('Never who this gateway is, its files and programs, its credentials, and what may be ordered or set.'));
		text(s, 'within', 'time', _('Kept if it works within'), '3 min', _('10 s to 1 h.'));

		s = section('mqtt', _('Operator'), _('Without a broker nobody is told.'));
		list(s, 'brokers', 'broker', _('Broker'), _('One, and one in reserve.'));
		text(s, 'ca', 'path', _('Authority'), '', _("The PEM file of who signed the broker's certificate. Without it the system's authorities are trusted."));
		text(s, 'certificate', 'path', _('Certificate'), '', _("This gateway's own, PEM."));
		text(s, 'key', 'path', _('Key'), '', _('Its key, PEM.'));
		text(s, 'username', null, _('User name'));
		text(s, 'password_file', 'path', _('File with the password'));
		choice(s, 'tls', _('Oldest TLS'), [ [ '1.2', 'TLS 1.2' ], [ '1.3', 'TLS 1.3' ] ]);
		text(s, 'keep_alive', 'time', _('Keep-alive'), '30 s');
		text(s, 'reconnect', 'time', _('Longest wait to connect again'), '5 min');
		text(s, 'session', 'time', _('The broker keeps messages for'), '1 d');

		s = section('hooks', _('Program'), _('Run when something changes, as hotplug scripts are; the event is JSON on its standard input.'));
		text(s, 'program', 'path', _('Program'), '', _('Empty: nothing is run.'));
		o = list(s, 'on', null, _('On which changes'), _('Empty: all three.'));
		for (const pair of [ [ 'incident', _('Incidents') ], [ 'remedy', _('Repairs') ], [ 'callback', _('Calls') ] ])
			o.value(pair[0], pair[1]);
		text(s, 'limit', 'time', _('May take'), '10 s', _('1 s to 1 min.'));

		s = section('store', _('Flash'));
		text(s, 'directory', 'path', _('Directory'), '/etc/linekeeper/store', _('sysupgrade keeps /etc/linekeeper. /var is RAM.'));
		text(s, 'outbox', 'size', _('Waiting messages'), '256 kB', _('16 kB to 16 MB.'));

		s = section('status', _('Socket'));
		text(s, 'socket', 'path', _('Socket'), '/var/run/linekeeper/socket', _('What the command line, this page and the button talk to.'));

		return m.render();
	}
});

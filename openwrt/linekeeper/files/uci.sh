#!/bin/sh
# shellcheck shell=sh disable=SC3043,SC2317,SC2016
# UCI -> the daemon's JSON. Sourced by the init script, the uci-defaults and the rpcd plugin.
#
# The file `options` defines the mapping, and `linekeeper check` reports the faults of the result. An invalid option is left
# out with a line in the log, and its default applies, or what allows least if the default might allow more than was meant. It
# never keeps the daemon from running.

# Where the tables are, and where the results go (RAM). Tests use other places.
: "${LINEKEEPER_LIB:=/usr/share/linekeeper}"
: "${LINEKEEPER_RUN:=/var/run/linekeeper}"
: "${LINEKEEPER_PROGRAM:=/usr/sbin/linekeeper}"
: "${LINEKEEPER_SYS:=/sys/class/net}"
: "${LINEKEEPER_JSHN:=/usr/share/libubox/jshn.sh}"
# On flash: what must survive a power cut and a sysupgrade. /var is RAM here.
: "${LINEKEEPER_STORE:=/etc/linekeeper/store}"

# The most rounds of leaving out and checking again. `check` reports all faults at once, so two are usual. A third and
# fourth leave out options that depended on those left out before. Each round leaves out something or is the last.
LINEKEEPER_ROUNDS=8

linekeeper_log() {
	local level="$1"
	shift
	logger -t linekeeper -p "daemon.$level" "$*"
}

# A unique name for this gateway: its label's MAC address, or the first one that is its own.
linekeeper_board_id() {
	local mac='' device
	# shellcheck disable=SC1091
	[ -e /lib/functions/system.sh ] && . /lib/functions.sh && . /lib/functions/system.sh
	command -v get_mac_label >/dev/null 2>&1 && mac=$(get_mac_label 2>/dev/null)
	for device in br-lan eth0 eth1 lan1 lan wan; do
		[ -z "$mac" ] || break
		[ -r "$LINEKEEPER_SYS/$device/address" ] || continue
		read -r mac <"$LINEKEEPER_SYS/$device/address" || mac=''
		[ "$mac" != 00:00:00:00:00:00 ] || mac=''
	done
	mac=$(printf '%s' "$mac" | tr 'A-F' 'a-f' | tr -cd '0-9a-f')
	[ "${#mac}" -eq 12 ] && printf 'gw-%s\n' "$mac"
}

# Whether the text is UTF-8 (RFC 3629): JSON can hold nothing else. Plain ASCII, nearly always the case, costs nothing.
linekeeper_utf8() {
	case $1 in
	*[!' '-'~']*) ;;
	*) return 0 ;;
	esac
	printf '%s' "$1" | hexdump -v -e '1/1 "%02x"' | grep -qE \
		'^([0-7].|(c[2-9a-f]|d.)[89ab].|e0[ab].[89ab].|e[1-9abcef][89ab].[89ab].|ed[89].[89ab].|f0[9ab].([89ab].){2}|f[1-3]([89ab].){3}|f48.([89ab].){2})*$'
}

# ---- the table ----

# Reads `options` into the variables _k_SECTION_OPTION (kind), _t_SECTION (tables), _d_SECTION (dashed tables),
# _r_SECTION_OPTION (rows), _e_SECTION_OPTION (may be empty), _s_SECTION (lists that never allow more than they say),
# _w_SECTION_OPTION (goes with its section), _i_SECTION_OPTION (its value where it is invalid) and _c_TYPE (records).
linekeeper_table() {
	local kind section rest word
	while read -r kind section rest; do
		case $kind in
		bool | int | list | words)
			for word in $rest; do eval "_k_${section}_$word=$kind"; done
			;;
		whole)
			for word in $rest; do eval "_w_${section}_$word=$section"; done
			;;
		none)
			for word in $rest; do eval "_e_${section}_$word=1"; done
			;;
		instead) eval "_i_${section}_${rest%% *}=\"\${rest#* }\"" ;;
		strict) eval "_s_$section=\"\$_s_$section \$rest\" _strict=\"\$_strict $section\"" ;;
		table) eval "_t_$section=\"\$_t_$section \$rest\"" ;;
		dashed) eval "_t_$section=\"\$_t_$section \$rest\" _d_$section=\"\$_d_$section \$rest\"" ;;
		row) eval "_k_${section}_${rest%% *}=row _r_${section}_${rest%% *}=\"\${rest#* }\"" ;;
		record) eval "_c_$section=\"\$rest\"" ;;
		esac
	done <"$LINEKEEPER_LIB/options"
}

# ---- building: in a subshell, so that its variables do not leak ----

# Whether this was found invalid in an earlier round.
_skipped() {
	case "$_skip" in
	*"|$1|"*) return 0 ;;
	esac
	return 1
}

# Notes what is in the JSON, by the name that `check` gives it, and what to leave out if that is invalid.
_note() {
	printf '%s %s\n' "$1" "${2:-$1}" >>"$_paths"
}

# Enters the object or the list of this name, which may be there already.
_into() {
	local type=''
	json_get_type type "$2"
	if [ "$type" = "$1" ]; then
		json_select "$2"
	elif [ "$1" = object ]; then
		json_add_object "$2"
	else
		json_add_array "$2"
	fi
}

# One value, converted to its kind. A value that does not fit stays a text, and `check` reports it.
_value() {
	local kind="$1" name="$2" value="$3"
	case $kind:$value in
	bool:1 | bool:on | bool:true | bool:yes | bool:enabled) json_add_boolean "$name" 1 ;;
	bool:0 | bool:off | bool:false | bool:no | bool:disabled) json_add_boolean "$name" 0 ;;
	int:*[!0-9]* | int: | int:??????????*) json_add_string "$name" "$value" ;;
	int:*) json_add_int "$name" "$value" ;;
	*) json_add_string "$name" "$value" ;;
	esac
}

# The place in the list $1 that the next element takes, and the one it had when nothing was left out yet.
_place() {
	local id="$1"
	id=$(printf '%s' "$id" | tr -c 'A-Za-z0-9_' _)
	eval "_n=\$((\${_n_$id:-0})) _m=\$((\${_m_$id:-0}))"
	eval "_m_$id=\$((_m + 1))"
	_skipped "$1@$_m" && return 1
	eval "_n_$id=\$((_n + 1))"
	_note "$1[$_n]" "$1@$_m"
}

# An element of the list SECTION.NAME; the object that it lies in is open.
_element() {
	local list="$1" name="$2" value="$3"
	_place "$list" || return 0
	_into array "$name"
	json_add_string '' "$value"
	json_close_array
}

# `option` and `list` end here: section, name, value, and whether it was written as a list.
_put() {
	local section="$1" name="$2" value="$3" listed="$4" kind='' table='' key path word rest
	[ -n "$value" ] || return 0
	eval "rest=\$_s_$section"
	case " $rest " in
	*" $name "*) _said="$_said $section.$name" ;;
	esac
	case $name in
	*[!A-Za-z0-9_]*) return 0 ;;
	esac
	if ! linekeeper_utf8 "$value"; then
		linekeeper_log warn "$section.$name is left out: it is not UTF-8"
		return 0
	fi
	eval "kind=\$_k_${section}_$name"
	if [ "$kind" = row ]; then
		eval "rest=\$_r_${section}_$name"
		# shellcheck disable=SC2086
		set -- $rest
		path="$section.$1"
		_skipped "$section" && return 0
		_place "$path" || return 0
		_note "$section"
		_into object "$section"
		_into array "$1"
		shift
		json_add_object ''
		json_add_string "$1" "$value"
		shift
		for word in "$@"; do json_add_string "${word%%=*}" "${word#*=}"; done
		json_close_object
		json_close_array
		json_close_object
		return 0
	fi
	key=$name
	eval "rest=\$_t_$section"
	for word in $rest; do
		case $name in
		"${word}_"?*)
			table=$word
			key=${name#"${word}_"}
			eval "rest=\$_d_$section"
			case " $rest " in
			*" $word "*) key=$(printf '%s' "$key" | tr _ -) ;;
			esac
			break
			;;
		esac
	done
	path="$section.${table:+$table.}$key"
	_skipped "$section" && return 0
	_skipped "$section.$table" && return 0
	if _skipped "$path"; then
		eval "value=\$_i_${section}_$name"
		[ -n "$value" ] || return 0
	fi
	_note "$section"
	_into object "$section"
	if [ -n "$table" ]; then
		_note "$section.$table"
		_into object "$table"
	fi
	eval "rest=\$_e_${section}_$name"
	case $rest:$value in
	1:none) kind=none ;;
	esac
	case $kind:$listed in
	none:*)
		_note "$path"
		_into array "$key"
		json_close_array
		;;
	list:0)
		set -f
		for word in $value; do _element "$path" "$key" "$word"; done
		set +f
		;;
	list:1)
		_element "$path" "$key" "$value"
		;;
	*:1 | words:0)
		_note "$path"
		_into array "$key"
		json_add_string '' "$value"
		json_close_array
		;;
	*)
		eval "rest=\$_w_${section}_$name"
		_note "$path" "$rest"
		_value "$kind" "$key" "$value"
		;;
	esac
	[ -z "$table" ] || json_close_object
	json_close_object
}

# An option of a record: the object at its place in the list is open.
_put_record() {
	local name="$1" value="$2" kind=''
	[ -n "$value" ] && linekeeper_utf8 "$value" || return 0
	case $name in
	*[!A-Za-z0-9_]*) return 0 ;;
	esac
	eval "kind=\$_k_${_section}_$name"
	_value "$kind" "$name" "$value"
}

_close_record() {
	if [ "$_record" = open ]; then
		json_close_object
		json_close_array
		json_close_object
	fi
	_record=''
}

# The callbacks of config_load.
_begin() {
	local target='' section list
	_close_record
	_section=''
	# config_load ends with a call without a word.
	[ -n "$1" ] || return 0
	case $1 in
	linekeeper) return 0 ;;
	*[!A-Za-z0-9_]*)
		linekeeper_log warn "config $1 is left out: that is no section"
		return 0
		;;
	esac
	_section=$1
	eval "target=\$_c_$1"
	[ -n "$target" ] || return 0
	section=${target%% *} list=${target##* }
	_record=skipped
	_skipped "$section" && return 0
	_place "$section.$list" || return 0
	_note "$section"
	_into object "$section"
	_into array "$list"
	json_add_object ''
	_record=open
}

_option() {
	case $_section:$_record in
	:*) ;;
	*:open) _put_record "$1" "$2" ;;
	*:skipped) ;;
	*) _put "$_section" "$1" "$2" 0 ;;
	esac
}

_list() {
	case $_section:$_record in
	:* | *:open | *:skipped) ;;
	*) _put "$_section" "$1" "$2" 1 ;;
	esac
}

# Sets OpenWrt's own default where the option is absent or invalid.
_unless() {
	_into object "$1"
	local there=''
	json_get_var there "$2"
	[ -n "$there" ] || json_add_string "$2" "$3"
	json_close_object
}

# The strict lists that were written but have no valid entry left.
_restrict() {
	local section name rest
	for section in $_strict; do
		eval "rest=\$_s_$section"
		for name in $rest; do
			case "$_said " in
			*" $section.$name "*) ;;
			*) continue ;;
			esac
			_into object "$section"
			_into array "$name"
			json_close_array
			json_close_object
		done
	done
}

# linekeeper_build FILE SKIP: writes FILE, and FILE.paths, from /etc/config/linekeeper.
linekeeper_build() (
	_paths="$1.paths" _skip="$2" _section='' _record='' _n=0 _m=0 _strict='' _said=''
	: >"$_paths" || exit 1
	# shellcheck disable=SC1090
	. "$LINEKEEPER_JSHN"
	linekeeper_table
	json_init
	config_cb() { _begin "$@"; return 0; }
	option_cb() { _option "$@"; return 0; }
	list_cb() { _list "$@"; return 0; }
	config_load linekeeper || exit 1
	_close_record
	_restrict
	_unless device id "$(linekeeper_board_id || echo gw-unnamed)"
	_unless store directory "$LINEKEEPER_STORE"
	_unless status socket "$LINEKEEPER_RUN/socket"
	json_dump >"$1"
)

# What to leave out for a fault at the path $1: itself, or the nearest thing around it that was written.
_culprit() {
	local path="$1" line
	while [ -n "$path" ]; do
		while IFS= read -r line; do
			case $line in
			"$path "*)
				printf '%s\n' "${line#* }"
				return 0
				;;
			esac
		done <"$2"
		case $path in
		*']') path=${path%'['*} ;;
		*.*) path=${path%.*} ;;
		*) path='' ;;
		esac
	done
	return 1
}

# Makes $LINEKEEPER_RUN/config.json from UCI, and faults.txt with what was left out. Fails, and leaves a former config.json
# as it was, if nothing usable can be made.
linekeeper_config() {
	local new="$LINEKEEPER_RUN/config.new" faults="$LINEKEEPER_RUN/faults.txt" skip='|' round=0 said code fault path source
	local left=0
	mkdir -p "$LINEKEEPER_RUN"
	: >"$faults.new"
	while [ "$round" -lt "$LINEKEEPER_ROUNDS" ]; do
		round=$((round + 1))
		if ! linekeeper_build "$new" "$skip"; then
			linekeeper_log err 'cannot read /etc/config/linekeeper; see `uci export linekeeper`'
			break
		fi
		said=$("$LINEKEEPER_PROGRAM" check "$new" 2>&1)
		code=$?
		if [ "$code" -eq 0 ]; then
			mv "$faults.new" "$faults"
			mv "$new" "$LINEKEEPER_RUN/config.json"
			rm -f "$new.paths"
			return 0
		fi
		left=0
		while IFS= read -r fault; do
			case $fault in
			'  - '*) fault=${fault#'  - '} ;;
			*) continue ;;
			esac
			path=${fault%% *}
			source=$(_culprit "$path" "$new.paths") || source=''
			if [ -z "$source" ]; then
				linekeeper_log err "$fault"
				printf '%s\n' "$fault" >>"$faults.new"
				continue
			fi
			case $skip in
			*"|$source|"*) ;;
			*)
				skip="$skip$source|"
				left=$((left + 1))
				;;
			esac
			source=$(printf '%s' "$source" | tr '@' '#')
			linekeeper_log warn "$fault; left out: $source"
			printf '%s; left out: %s\n' "$fault" "$source" >>"$faults.new"
		done <<-EOF
			$said
		EOF
		if [ "$left" -eq 0 ]; then
			[ "$code" -eq 78 ] || linekeeper_log err "linekeeper check failed with code $code: $said"
			break
		fi
	done
	mv "$faults.new" "$faults"
	rm -f "$new" "$new.paths"
	return 1
}

# shellcheck shell=sh disable=SC3043
# What the tests need of OpenWrt's /lib/functions.sh, written anew: it reads a file as `uci export` prints it.

config_cb() { :; }
option_cb() { :; }
list_cb() { :; }

config() {
	_section="${2:-anonymous}"
	config_cb "$1" "$_section"
}
option() {
	case $1 in
	*[!A-Za-z0-9_]*) ;;
	*) eval "CONFIG_${_section}_$1=\"\$2\"" ;;
	esac
	option_cb "$1" "$2"
}
list() { list_cb "$1" "$2"; }
package() { :; }

# As uci: fails where the file cannot be read or is none; ends with a call of config_cb without a word.
config_load() {
	local _section='' _file="$UCI_CONFIG_DIR/$1"
	[ -r "$_file" ] || return 1
	busybox ash -n "$_file" 2>/dev/null || return 1
	# shellcheck disable=SC1090
	. "$_file"
	[ -z "$_section" ] || config_cb
	return 0
}
config_get() { eval "$1=\"\${CONFIG_${2}_$3:-\$4}\""; }
config_get_bool() {
	local _value
	config_get _value "$2" "$3" "$4"
	case $_value in
	1 | on | true | yes | enabled) _value=1 ;;
	0 | off | false | no | disabled) _value=0 ;;
	*) _value="$4" ;;
	esac
	eval "$1=\$_value"
}

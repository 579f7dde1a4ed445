# shellcheck shell=sh disable=SC3043
# What the tests need of libubox' jshn.sh, written anew with its ways: what is no letter or digit in a name is `_` in the
# variable (the name itself is kept beside), values travel by the environment, a boolean is what atoi() makes of it, and
# `json_select` enters what is there.

json_init() {
	_j_last=0 _j_cur=0
	export _j_kind_0=object _j_keys_0='' _j_up_0=0
}
_j_plain() { printf '%s' "$1" | tr -c 'A-Za-z0-9_' _; }
# _j_add TYPE NAME VALUE
_j_add() {
	local _kind _keys _plain
	eval "_kind=\$_j_kind_$_j_cur _keys=\$_j_keys_$_j_cur"
	if [ "$_kind" = array ]; then
		set -- "$1" "$(printf '%s' "$_keys" | wc -w)" "$3"
	fi
	_plain=$(_j_plain "$2")
	export "_j_type_${_j_cur}_$_plain=$1" "_j_name_${_j_cur}_$_plain=$2" "_j_value_${_j_cur}_$_plain=$3" \
		"_j_keys_$_j_cur=$_keys $_plain"
}
_j_open() {
	_j_last=$((_j_last + 1))
	_j_add "$1" "$2" "$_j_last"
	export "_j_kind_$_j_last=$1" "_j_keys_$_j_last=" "_j_up_$_j_last=$_j_cur"
	_j_cur=$_j_last
}
json_add_object() { _j_open object "$1"; }
json_add_array() { _j_open array "$1"; }
json_close_object() { eval "_j_cur=\$_j_up_$_j_cur"; }
json_close_array() { json_close_object; }
json_add_string() { _j_add string "$1" "$2"; }
json_add_int() { _j_add int "$1" "$2"; }
json_add_boolean() { _j_add boolean "$1" "$2"; }
json_add_double() { _j_add double "$1" "$2"; }
json_add_null() { _j_add null "$1" ''; }
json_get_type() { eval "$1=\${_j_type_${_j_cur}_$(_j_plain "$2")}; [ -n \"\$$1\" ]"; }
json_get_var() { eval "$1=\${_j_value_${_j_cur}_$(_j_plain "$2"):-\$3}; [ -n \"\$$1\" ]"; }
json_select() {
	local _type
	if [ "$1" = .. ]; then
		json_close_object
		return 0
	fi
	json_get_type _type "$1"
	case $_type in
	object | array) eval "_j_cur=\$_j_value_${_j_cur}_$(_j_plain "$1")" ;;
	*)
		echo "WARNING: Variable '$1' does not exist or is not an array/object" >&2
		return 1
		;;
	esac
}
json_dump() { jshn -w; }
json_load() { eval "$(jshn -r "$1")"; }
json_cleanup() { :; }

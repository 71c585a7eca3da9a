package config

import (
	"bytes"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Option describes one option for the documentation.
type Option struct{ Key, Type, Default, Doc string }

// Describe lists the options of a struct with toml and doc tags, nested structs included. Keys of nested tables are
// dotted; those of the tables in a list have [] behind the list's name: keys[].name.
func Describe(defaults any) []Option {
	v := reflect.ValueOf(defaults)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	return describe(v, "")
}

func describe(v reflect.Value, prefix string) (options []Option) {
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		for fv.Kind() == reflect.Pointer && fv.Type() != nodeType {
			if fv.IsNil() {
				fv = reflect.Zero(fv.Type().Elem())
			} else {
				fv = fv.Elem()
			}
		}
		key := prefix + f.key
		if isTable(fv.Type()) {
			options = append(options, describe(fv, key+".")...)
			continue
		}
		o := Option{Key: key, Type: describeType(fv.Type(), true), Default: format(fv), Doc: f.doc}
		switch {
		case f.required && fv.IsZero():
			o.Default = ""
		case f.secret && o.Default != `""`:
			o.Default = secretText
		}
		options = append(options, o)
		if t := fv.Type(); t.Kind() == reflect.Slice && isTable(t.Elem()) {
			options = append(options, describe(reflect.Zero(t.Elem()), key+"[].")...)
		}
	}
	return options
}

// isTable tells whether a type is a table of options, not a value with a text form.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textType)
}

// format writes a value as a file would.
func format(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		return format(v.Elem())
	}
	switch x := v.Interface().(type) {
	case Duration:
		return strconv.Quote(x.String())
	case Size:
		if s := x.String(); s != strconv.FormatInt(int64(x), 10) {
			return strconv.Quote(s)
		}
		return strconv.FormatInt(int64(x), 10)
	case fmt.Stringer:
		return strconv.Quote(x.String())
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = format(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Struct:
		var parts []string
		for _, f := range fieldsOf(v.Type()) {
			s := format(v.FieldByIndex(f.index))
			if f.secret {
				s = secretText
			}
			parts = append(parts, f.key+" = "+s)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.Map:
		var parts []string
		for it := v.MapRange(); it.Next(); {
			parts = append(parts, quoteKey(it.Key().String())+" = "+format(it.Value()))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

// coreSections lists the sections that the core itself reads, in the order of the file.
func coreSections() []Section { return Default().sections() }

// corePaths lists the core's options with their sections.
var corePaths = sync.OnceValue(func() (paths []string) {
	for _, s := range coreSections() {
		for _, o := range Describe(s.Defaults) {
			if !strings.Contains(o.Key, "[]") {
				paths = append(paths, s.Name+"."+o.Key)
			}
		}
	}
	return paths
})

// Markdown writes doc/config.md: the core's options, then a table for each module.
func Markdown(sections []Section) []byte {
	var b bytes.Buffer
	b.WriteString(markdownHead)
	for _, s := range coreSections() {
		fmt.Fprintf(&b, "\n## [%s]\n\n", s.Name)
		writeOptions(&b, Describe(s.Defaults))
	}
	b.WriteString("\n## [[host_config]]\n\nWhat one host has of its own. May be there once for each host of `general.hosts`; " +
		"a file without\n`general.hosts` serves the hosts of these sections.\n\n")
	writeOptions(&b, Describe(HostConfig{}))
	b.WriteString("\n## Modules\n\nA module is on where it has a section, or where it is one of the default set; `xmppd modules` says which.\n")
	for _, s := range sections {
		fmt.Fprintf(&b, "\n### [modules.%s]\n\n", s.Name)
		if options := Describe(s.Defaults); len(options) > 0 {
			writeOptions(&b, options)
		} else {
			b.WriteString("No options.\n")
		}
	}
	return b.Bytes()
}

const markdownHead = `<!-- Made by go generate from the struct tags in the code: change those. -->
# The configuration file

One TOML file. Relative paths in it are relative to it. A key that is not there has the default. Time spans are written
as "30s", "15m", "24h" or "30d", or as a number of seconds; sizes as "64KiB", "4MiB" or "10kB", or as a number of bytes.
` + "`xmppd check config`" + ` explains every mistake it can find; ` + "`xmppd reload --dry-run`" + ` says what a change takes.
`

func writeOptions(b *bytes.Buffer, options []Option) {
	b.WriteString("| Key | Type | Default | What it does |\n|---|---|---|---|\n")
	escape := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, o := range options {
		def := ""
		if o.Default != "" {
			def = "`" + o.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Key, o.Type, escape.Replace(def), escape.Replace(o.Doc))
	}
}

package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/xmppd/xmppd/secret"
)

// Decode lays a section over the defaults: every key of n must be a field of C (toml tag), with the right type. Mistakes
// go to errs, with the nearest key that exists. If *C has a method Check(*Errors), it runs last. n may be nil.
//
// A field may be a bool, a string, a number, a Duration, a Size, a OneOrMore, an encoding.TextUnmarshaler, a struct, or a slice, a
// map or a pointer of these. The option "required" in a tag, as in `toml:"name,required"`, makes a key mandatory where
// its table is written. A field of type secret.Text, or with the tag `secret:"true"`, has its value kept out of messages, diffs and docs.
func Decode[C any](n *Node, defaults C, errs *Errors) C {
	before := errs.at
	errs.at = n
	defer func() { errs.at = before }()

	c := defaults
	if n != nil {
		(&decoder{errs: errs}).value(n, reflect.ValueOf(&c).Elem(), false)
	}
	if checker, ok := any(&c).(interface{ Check(*Errors) }); ok {
		checker.Check(errs)
	}
	return c
}

// decoder lays nodes over values.
type decoder struct {
	errs  *Errors
	core  bool // the whole file is decoded: suggest keys of other sections too
	fails int
}

// fail notes a mistake of a value.
func (d *decoder) fail(n *Node, format string, args ...any) {
	d.fails++
	d.errs.addAt(n, format, args...)
}

var (
	nodeType     = reflect.TypeFor[*Node]()
	durationType = reflect.TypeFor[Duration]()
	sizeType     = reflect.TypeFor[Size]()
	moreType     = reflect.TypeFor[OneOrMore]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	secretType   = reflect.TypeFor[secret.Text]()
)

// value lays n over v, which holds the default.
func (d *decoder) value(n *Node, v reflect.Value, secret bool) {
	switch {
	case v.Type() == nodeType:
		if !n.Table() {
			d.wrongType(n, v.Type())
			return
		}
		v.Set(reflect.ValueOf(n))
		return
	case v.Type() == durationType || v.Type() == sizeType:
		d.unit(n, v)
		return
	case reflect.PointerTo(v.Type()).Implements(textType):
		s, ok := n.Value.(string)
		if !ok {
			d.wrongType(n, v.Type())
		} else if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			text := err.Error()
			if secret {
				text = "has the wrong form"
			}
			d.fail(n, "%s", text)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			p.Elem().Set(v.Elem())
		}
		d.value(n, p.Elem(), secret)
		v.Set(p)
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.table(n, v, secret)
	case reflect.Slice:
		elements, ok := n.Value.([]*Node)
		if _, one := n.Value.(string); one && v.Type() == moreType {
			elements, ok = []*Node{n}, true
		}
		if !ok {
			d.wrongType(n, v.Type())
			return
		}
		before := d.fails
		list := reflect.MakeSlice(v.Type(), len(elements), len(elements))
		for i, e := range elements {
			d.value(e, list.Index(i), secret)
		}
		if d.fails == before || isTable(v.Type().Elem()) { // else what is wrong would be checked as if it were empty
			v.Set(list)
		}
	default:
		d.scalar(n, v)
	}
}

// scalar lays a plain value over a field.
func (d *decoder) scalar(n *Node, v reflect.Value) {
	switch x := n.Value.(type) {
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return
		}
	case string:
		if v.Kind() == reflect.String {
			v.SetString(x)
			return
		}
	case float64:
		if v.CanFloat() && !math.IsNaN(x) && !math.IsInf(x, 0) {
			v.SetFloat(x)
			return
		}
	case int64:
		switch {
		case v.CanInt():
			if v.OverflowInt(x) {
				bits := v.Type().Bits()
				d.fail(n, "must be between %d and %d", int64(-1)<<(bits-1), int64(1)<<(bits-1)-1)
				return
			}
			v.SetInt(x)
			return
		case v.CanUint():
			if x < 0 || v.OverflowUint(uint64(x)) {
				d.fail(n, "must be between 0 and %d", uint64(math.MaxUint64)>>(64-v.Type().Bits()))
				return
			}
			v.SetUint(uint64(x))
			return
		case v.CanFloat():
			v.SetFloat(float64(x))
			return
		}
	}
	d.wrongType(n, v.Type())
}

// unit lays a string or a number over a Duration or a Size.
func (d *decoder) unit(n *Node, v reflect.Value) {
	switch x := n.Value.(type) {
	case string:
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(x)); err != nil {
			d.fail(n, "%s", err)
		}
	case int64:
		per := int64(1)
		if v.Type() == durationType {
			per = int64(time.Second)
		}
		switch {
		case x < 0:
			d.fail(n, "must not be negative")
		case x > math.MaxInt64/per:
			d.fail(n, "is too large")
		default:
			v.SetInt(x * per)
		}
	default:
		d.wrongType(n, v.Type())
	}
}

// structure lays a table over a struct.
func (d *decoder) structure(n *Node, v reflect.Value) {
	if !n.Table() {
		d.wrongType(n, v.Type())
		return
	}
	fields := fieldsOf(v.Type())
	for _, key := range n.Order {
		if f := fields.find(key); f != nil {
			d.value(n.Keys[key], v.FieldByIndex(f.index), f.secret)
		} else {
			d.unknown(n, key, fields)
		}
	}
	for _, f := range fields {
		if f.required && n.Keys[f.key] == nil && !d.errs.partial {
			d.errs.add(Mistake{Line: n.Line, Path: join(n.Path, f.key), Text: "is missing"})
		}
	}
}

// table lays a table over a map, key by key.
func (d *decoder) table(n *Node, v reflect.Value, secret bool) {
	if !n.Table() {
		d.wrongType(n, v.Type())
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.Keys))
	for it := v.MapRange(); it.Next(); {
		m.SetMapIndex(it.Key(), it.Value())
	}
	for _, key := range n.Order {
		k := reflect.ValueOf(key).Convert(v.Type().Key())
		e := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(k); old.IsValid() {
			e.Set(old)
		}
		d.value(n.Keys[key], e, secret)
		if e.Type() != nodeType || !e.IsNil() { // nil: no table, which is said already
			m.SetMapIndex(k, e)
		}
	}
	v.Set(m)
}

// unknown notes a key that no field has.
func (d *decoder) unknown(n *Node, key string, fields fields) {
	d.fails++
	if d.errs.full() {
		return
	}
	child := n.Keys[key]
	hints := foreign(child)
	for _, h := range hints {
		d.fail(h.n, "unknown key; %s", h.text)
	}
	if len(hints) > 0 {
		return
	}
	best, distance := nearest(key, fields.keys())
	if d.core {
		// A key in the wrong section: the name is right, so the other section is nearer.
		for _, path := range corePaths() {
			name := path[strings.LastIndexByte(path, '.')+1:]
			if _, far := nearest(key, []string{name}); far < distance && near(key, far) {
				best, distance = path, far
			}
		}
	}
	if best == "" {
		d.fail(child, "unknown key; there are none here")
		return
	}
	d.fail(child, "unknown key; the nearest that exists is %s", best)
}

// wrongType notes a value of the wrong type. It does not repeat the value, which may be a secret.
func (d *decoder) wrongType(n *Node, want reflect.Type) {
	text := fmt.Sprintf("must be %s, is %s", describeType(want, false), n.kind())
	if want.Kind() == reflect.Struct && isTable(want) {
		if hints := foreign(n); len(hints) == 1 {
			text += "; " + hints[0].text
		}
	}
	d.fail(n, "%s", text)
}

// field is an option of a struct.
type field struct {
	key      string
	index    []int
	doc      string
	required bool
	secret   bool
}

type fields []field

func (fs fields) find(key string) *field {
	for i := range fs {
		if fs[i].key == key {
			return &fs[i]
		}
	}
	return nil
}

func (fs fields) keys() []string {
	keys := make([]string, len(fs))
	for i, f := range fs {
		keys[i] = f.key
	}
	return keys
}

// fieldsOf returns the options of a struct; those of an embedded struct count as its own.
func fieldsOf(t reflect.Type) (fs fields) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("toml")
		if f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fs = append(fs, inner)
			}
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		if key == "" || key == "-" || !f.IsExported() {
			continue
		}
		fs = append(fs, field{
			key: key, index: []int{i}, doc: f.Tag.Get("doc"),
			required: options == "required", secret: f.Tag.Get("secret") == "true" || f.Type == secretType,
		})
	}
	return fs
}

// describeType says what a value of a type is in the file: for a message, or in short for a table of options.
func describeType(t reflect.Type, short bool) string {
	pick := func(long, brief string) string {
		if short {
			return brief
		}
		return long
	}
	switch {
	case t == durationType:
		return pick(`a time span such as "30s", "15m", "24h" or "30d", or a number of seconds`, "time span")
	case t == sizeType:
		return pick(`a number of bytes, or a size such as "64KiB", "4MiB" or "10kB"`, "size")
	case t == moreType:
		return pick("a string or a list of strings", "string or list of strings")
	case t == nodeType:
		return pick("a table", "table")
	case reflect.PointerTo(t).Implements(textType):
		return pick("a string", "string")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return describeType(t.Elem(), short)
	case reflect.Bool:
		return pick("true or false", "true or false")
	case reflect.String:
		return pick("a string", "string")
	case reflect.Float32, reflect.Float64:
		return pick("a number", "number")
	case reflect.Struct, reflect.Map:
		return pick("a table", "table")
	case reflect.Slice:
		many := map[reflect.Kind]string{
			reflect.String: "strings", reflect.Struct: "tables", reflect.Bool: "true and false",
			reflect.Slice: "lists", reflect.Map: "tables",
		}[t.Elem().Kind()]
		if many == "" {
			many = "numbers"
		}
		return pick("a list of "+many, "list of "+many)
	}
	return pick("a whole number", "whole number")
}

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span written as "30s", "15m", "24h" or "30d", or as a number of seconds.
type Duration time.Duration

// Size is a number of bytes written as a number, or as "64KiB", "4MiB".
type Size int64

const day = 24 * time.Hour

// UnmarshalText reads a time span: days, hours, minutes, seconds and milliseconds, as in "30d", "1h30m" or "500ms".
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	var days time.Duration
	if digits, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			return errDuration
		}
		if n > uint64(math.MaxInt64/day) {
			return errors.New("is too long")
		}
		days, s = time.Duration(n)*day, rest
	}
	var span time.Duration
	if s != "" || days == 0 && string(b) == "" {
		var err error
		if span, err = time.ParseDuration(s); err != nil {
			return errDuration
		}
	}
	if span < 0 || strings.HasPrefix(s, "-") {
		return errors.New("must not be negative")
	}
	if span > math.MaxInt64-days {
		return errors.New("is too long")
	}
	*d = Duration(days + span)
	return nil
}

var errDuration = errors.New(`must be a time span such as "30s", "15m", "24h" or "30d"`)

// String returns the shortest form that the file takes: 30d, 1h30m, 500ms.
func (d Duration) String() string {
	t := time.Duration(d)
	if t >= day && t%day == 0 {
		return fmt.Sprintf("%dd", t/day)
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizeUnits are what may follow the number of a Size, in the order that String tries them.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText reads a number of bytes: "64KiB" is 65536, "10kB" is 10000.
func (z *Size) UnmarshalText(b []byte) error {
	s := string(b)
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	unit := strings.TrimSpace(s[end:])
	if errors.Is(err, strconv.ErrRange) {
		return errors.New("is too large")
	}
	if strings.HasPrefix(s, "-") {
		return errors.New("must not be negative")
	}
	if err != nil {
		return errSize
	}
	if unit == "" {
		unit = "B"
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(unit, u.name) {
			if n > math.MaxInt64/u.bytes {
				return errors.New("is too large")
			}
			*z = Size(n * u.bytes)
			return nil
		}
	}
	return errSize
}

var errSize = errors.New(`must be a number of bytes, or a size such as "64KiB", "4MiB" or "10kB"`)

// String returns the shortest form that the file takes: 64KiB, 10kB, 256.
func (z Size) String() string {
	for _, u := range sizeUnits {
		if u.bytes > 1 && int64(z) >= u.bytes && int64(z)%u.bytes == 0 {
			return strconv.FormatInt(int64(z)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(z), 10)
}

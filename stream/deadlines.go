//go:build linux

package stream

// deadlines is a heap of sockets, the earliest first. A socket knows its place, counted from one.
type deadlines []*socket

func (h *deadlines) add(s *socket, by instant) {
	*h = append(*h, s)
	s.due, s.place = by, int32(len(*h))
	h.up(len(*h) - 1)
}

func (h *deadlines) remove(s *socket) {
	if s.place == 0 {
		return
	}
	i, last := int(s.place)-1, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	s.place = 0
	if i < last {
		h.down(i)
		h.up(i)
	}
}

func (h deadlines) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i+1), int32(j+1)
}

func (h deadlines) up(i int) {
	for i > 0 && h[i].due < h[(i-1)/2].due {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h deadlines) down(i int) {
	for {
		least := i
		for _, kid := range [2]int{2*i + 1, 2*i + 2} {
			if kid < len(h) && h[kid].due < h[least].due {
				least = kid
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

package muc

import "context"

// expulsion is an occupant who is to be thrown out, and what is said of it.
type expulsion struct {
	of       *occupant
	news     *news
	sessions []*session
	shown    *session
}

// expelAll throws several occupants out. They are out before any of it is told, so that they are not told of each other: they may be
// many, such as all of a banned domain.
func (r *room) expelAll(ctx context.Context, list []expulsion) {
	for i := range list {
		e := &list[i]
		e.sessions, e.shown, e.news.gone = e.of.sessions, e.of.shown, true
		for _, s := range e.sessions {
			r.drop(s)
		}
	}
	for _, e := range list {
		r.showTo(e.of, e.shown, e.news, r.present)
		for _, s := range e.sessions {
			r.showSelf(e.of, s, e.news, s)
		}
	}
	if len(list) > 0 {
		r.emptied(ctx)
	}
}

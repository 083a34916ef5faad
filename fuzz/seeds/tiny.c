/* Compiled into the seeds of the targets that read debug information:
     gcc -c -O2 -g -ffunction-sections tiny.c -o tiny.o
     gcc -c -O2 -gbtf tiny.c -o tiny-btf.o && objcopy -O binary --only-section=.BTF tiny-btf.o tiny.btf
     gcc -c -O2 -g -gz -fno-asynchronous-unwind-tables tiny.c -o tiny-gz.o */
enum colour { RED, GREEN = 5, BLUE = -1 };
struct list { struct list *next, *prev; };
union value { long number; char text[8]; double real; };
typedef int (*handler)(struct list *, enum colour);
struct object {
	struct list link;
	unsigned int low : 3, high : 29;
	union value value;
	struct { short a; unsigned char b[3]; };
	handler handle;
	const volatile void *data;
	_Bool flag;
};
struct object table[4];
extern int outside(struct list *, int);
static inline __attribute__((always_inline)) int inner(struct object *o, int by)
{
	int sum = 0;
	for (struct list *l = o->link.next; l != &o->link; l = l->next)
		sum += outside(l, by);
	return sum;
}
int walk(struct object *o, int count, ...)
{
	int twice = inner(o, count) * 2;
	if (o->flag)
		twice += inner(&table[count & 3], o->low);
	return twice + o->handle(&o->link, GREEN);
}

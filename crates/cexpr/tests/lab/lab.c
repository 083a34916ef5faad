typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef _Bool bool; typedef int pid_t; typedef struct { int counter; } atomic_t;
struct list_head { struct list_head *next, *prev; };
enum state { RUNNING, SLEEPING, STOPPED = 4, DEAD = -1 };
enum mode { MODE_R = 1, MODE_W = 2, MODE_X = 4 };
struct vring { unsigned int num; u16 *desc; };
struct virtqueue { struct list_head list; void (*callback)(struct virtqueue *); const char *name; unsigned int index; unsigned int num_free; };
struct vvq { struct virtqueue vq; bool weak; bool broken; u8 tag; signed char sc; enum mode mode; enum state state;
  union { struct vring split; struct { long a; long b; }; };
  u32 lo : 4; u32 mid : 12; int neg : 3; u64 wide : 40;
  atomic_t refs; pid_t pids[4]; char comm[16]; u8 mac[6]; short grid[2][3]; unsigned long flags; struct list_head items[2]; char *names[2]; float f; double d; void *priv; struct opaque *opaque; long flex[]; };
extern struct vvq queue;
void callback(struct virtqueue *vq);
char req0[] = "req.0";
u16 descs[4] = { 1, 2, 0x8000, 0xffff };
int counter = -7; unsigned int ucounter = 4000000000u; unsigned long jiff = 4294893917ul; long neg = -5; u8 byte = 200; char ch = 'A'; short sh = -2; bool yes = 1; u64 big = 0xfedcba9876543210ull;
int table[5] = { 10, 20, 30, 40, 50 };
const char *words[3] = { "zero", "one", 0 };
struct list_head head = { &queue.vq.list, &queue.vq.list };
struct vvq queue = { .vq = { { &head, &head }, callback, req0, 3, 60 }, .weak = 1, .tag = 0x41, .sc = -3, .mode = MODE_R | MODE_W, .state = STOPPED, .split = { 64, descs },
 .lo = 5, .mid = 0xabc, .neg = -2, .wide = 0x123456789aull, .refs = {3}, .pids = {1, 2, 3, 4}, .comm = "swapper/0", .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, .grid = {{1, 2, 3}, {-1, -2, -3}},
 .flags = 0xff00ul, .items = {{&queue.items[0], &queue.items[0]}, {&queue.items[1], 0}}, .names = {req0, 0}, .f = 1.5f, .d = -0.25, .priv = &counter, .opaque = (void *)0x10 };
struct vvq *qp = &queue; struct virtqueue *vqp = &queue.vq; int *ip = &table[2]; int **ipp = &ip; void *vp = table; unsigned long err = -22; char *cp = req0; int (*fp)(int) = (void *)callback;
__attribute__((section(".text.cb"))) void callback(struct virtqueue *vq) {}
int add(int a, int b) { return a + b; }
void *keep[] = { add };

/* What the workloads know of a PC: ports, descriptors, interrupts, and where they leave what they computed. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

static inline void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out16(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline void out32(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 in8(u16 port) { u8 value; __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static inline u16 in16(u16 port) { u16 value; __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static inline u32 in32(u16 port) { u32 value; __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port)); return value; }

/* Results: a ring of 16 Ki words from 1 MiB on, and behind it how many there were so far. The test reads them. */
#define RESULTS ((volatile u32 *)0x100000)
#define RESULT_WORDS 0x4000
#define RESULT_COUNT RESULTS[RESULT_WORDS]
static inline void result(u32 value)
{
    RESULTS[RESULT_COUNT % RESULT_WORDS] = value;
    RESULT_COUNT++;
}

/* What the test chose for the workload. */
extern volatile u32 chosen[4];
#define PARAMETER chosen[1]

struct frame { u32 edi, esi, ebp, esp, ebx, edx, ecx, eax, number, code, eip, cs, eflags; };

extern volatile u64 gdt[];
extern u64 idt[48];
/* A descriptor: access byte, and flags with D and G in their upper half. */
static inline u64 descriptor(u32 base, u32 limit, u8 access, u8 flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16 & 15 | flags) << 48 | (u64)(base >> 24) << 56;
}

extern volatile u32 interrupts[48];
/* What a workload does about an interrupt or exception before it goes on; null = count it. */
extern void (*handler)(struct frame *frame);
/* Interrupt controllers at vectors 32 and 40, with these masks; then interrupts are on. */
void start_interrupts(u16 mask);
void end_of_interrupt(u32 number);

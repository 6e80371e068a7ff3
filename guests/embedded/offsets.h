/* offsets.h - struct hart and struct frame for assembly; guest.h checks them */
#define H_SP 0
#define H_T0 8
#define H_KSP 16
#define H_STACK 24
#define H_ID 32
#define H_RESUME 40
#define H_VECTORED 48
#define FRAME 288

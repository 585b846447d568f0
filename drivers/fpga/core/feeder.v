// Streams tiles through the array: for each tile of 16 channels, for each tile of 16 positions,
// one step of features and weights a cycle. The features of step k are the 16 bytes from
// position + offset[k] on, so a convolution's windows are never written out.
//
// A tile's results are captured when the next one begins; so a tile waits until the drain is
// through with those before, and an empty step at the very end captures the last.
module feeder #(
    parameter integer POSITION_BITS = 17,
    parameter integer STEP_BITS     = 13
) (
    input  wire                     clock,
    input  wire                     reset,
    input  wire                     start,
    input  wire [STEP_BITS:0]       steps,
    input  wire [15:0]              channel_tiles,
    input  wire [15:0]              position_tiles,
    input  wire [POSITION_BITS-1:0] base,
    input  wire [1:0]               bank_full,     // weights are there
    input  wire                     drained,       // what was captured last has left the array
    output wire                     running,
    output wire                     release_bank,
    output reg                      bank,
    output reg  [STEP_BITS-1:0]     step,
    output reg                      valid,         // `step` is one
    output reg                      first,         // of its tile
    output reg  [POSITION_BITS-1:0] position,
    output reg                      drain,         // with `first`: there are results to capture
    output reg  [1:0]               drain_tile     // the channel tile they belong to
);
    localparam [1:0] IDLE = 2'd0, WAIT = 2'd1, STREAM = 2'd2, FLUSH = 2'd3;
    localparam [POSITION_BITS-1:0] TILE = 16;

    reg [1:0]  state;
    reg [15:0] channel_tile, position_tile;
    reg        pending;   // results lie in the array, not yet captured
    reg        draining;

    wire last_step     = {1'b0, step} == steps - 1'b1;
    wire last_position = position_tile == position_tiles - 16'd1;
    wire last_channel  = channel_tile == channel_tiles - 16'd1;
    wire can_capture   = !draining;
    wire may_begin     = bank_full[channel_tile[0]] && can_capture;

    assign running      = state != IDLE || draining;
    assign release_bank = state == STREAM && last_step && last_position;

    always @(posedge clock) begin
        valid <= 1'b0;
        first <= 1'b0;
        drain <= 1'b0;
        if (drained) draining <= 1'b0;
        if (reset) begin
            state    <= IDLE;
            pending  <= 1'b0;
            draining <= 1'b0;
        end else case (state)
            IDLE: if (start) begin
                state         <= WAIT;
                channel_tile  <= 16'd0;
                position_tile <= 16'd0;
                position      <= base;
                pending       <= 1'b0;
            end
            WAIT: if (may_begin) begin
                state      <= STREAM;
                bank       <= channel_tile[0];
                step       <= {STEP_BITS{1'b0}};
                valid      <= 1'b1;
                first      <= 1'b1;
                drain      <= pending;
                draining   <= 1'b1;
                pending    <= 1'b1;
            end
            STREAM: if (!last_step) begin
                step  <= step + 1'b1;
                valid <= 1'b1;
            end else begin
                drain_tile <= channel_tile[1:0];
                if (!last_position) begin
                    state         <= WAIT;
                    position_tile <= position_tile + 16'd1;
                    position      <= position + TILE;
                end else begin
                    state         <= last_channel ? FLUSH : WAIT;
                    position_tile <= 16'd0;
                    position      <= base;
                    channel_tile  <= channel_tile + 16'd1;
                end
            end
            FLUSH: if (can_capture) begin
                state    <= IDLE;
                first    <= 1'b1;
                drain    <= 1'b1;
                draining <= 1'b1;
            end
        endcase
    end
endmodule

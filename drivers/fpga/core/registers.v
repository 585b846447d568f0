// The register map, as an AXI4-Lite slave of 32-bit words.
//
//   00 identity     "FARM"                    20 errors        1 descriptor 2 read 4 write
//   04 version      major << 16 | minor       24 cycles        of the last or current run
//   08 shape        rows, channels << 8,      28 steps         cycles in which the array worked
//                   1 << 16 int8, 1 << 17 int6
//   0c feature bytes                          2c beats read
//   10 most steps                             30 beats written
//   14 descriptor   address, read and write   34 descriptors done
//   18 control      1 start
//   1c status       1 busy, 2 done, 4 failed
module registers #(
    parameter [31:0] FEATURE_BYTES = 32'd131072,
    parameter [31:0] MOST_STEPS    = 32'd8192
) (
    input  wire        clock,
    input  wire        reset,
    input  wire [5:0]  s_axi_awaddr,
    input  wire        s_axi_awvalid,
    output wire        s_axi_awready,
    input  wire [31:0] s_axi_wdata,
    input  wire        s_axi_wvalid,
    output wire        s_axi_wready,
    output reg         s_axi_bvalid,
    input  wire        s_axi_bready,
    input  wire [5:0]  s_axi_araddr,
    input  wire        s_axi_arvalid,
    output wire        s_axi_arready,
    output reg  [31:0] s_axi_rdata,
    output reg         s_axi_rvalid,
    input  wire        s_axi_rready,
    output reg         start,
    output reg  [31:0] descriptor,
    input  wire        busy,
    input  wire        finished,
    input  wire [2:0]  failures,       // each for a cycle: write, read, descriptor
    input  wire        worked,
    input  wire        beat_read,
    input  wire        beat_written,
    input  wire [31:0] descriptors_done
);
    reg [31:0] cycles, steps, beats_read, beats_written;
    reg [2:0]  errors;
    reg        done;

    // A write is taken when both its halves are there and the last one has been answered.
    wire writes = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;
    wire reads  = s_axi_arvalid && !s_axi_rvalid;
    wire starts = writes && s_axi_awaddr[5:2] == 4'h6 && s_axi_wdata[0] && !busy;

    assign s_axi_awready = writes;
    assign s_axi_wready  = writes;
    assign s_axi_arready = reads;

    always @(posedge clock) begin
        start <= starts && !reset;
        if (reset) begin
            {s_axi_bvalid, s_axi_rvalid, done, errors} <= 6'd0;
            {cycles, steps, beats_read, beats_written, descriptor} <= 160'd0;
        end else begin
            if (writes) s_axi_bvalid <= 1'b1;
            else if (s_axi_bready) s_axi_bvalid <= 1'b0;
            if (writes && s_axi_awaddr[5:2] == 4'h5 && !busy) descriptor <= s_axi_wdata;
            if (starts) begin
                {done, errors} <= 4'd0;
                {cycles, steps, beats_read, beats_written} <= 128'd0;
            end else begin
                if (finished) done <= 1'b1;
                errors        <= errors | failures;
                cycles        <= cycles + {31'd0, busy};
                steps         <= steps + {31'd0, worked};
                beats_read    <= beats_read + {31'd0, beat_read};
                beats_written <= beats_written + {31'd0, beat_written};
            end
            if (reads) s_axi_rvalid <= 1'b1;
            else if (s_axi_rready) s_axi_rvalid <= 1'b0;
        end
        if (reads) case (s_axi_araddr[5:2])
            4'h0: s_axi_rdata <= 32'h4641_524d;
            4'h1: s_axi_rdata <= 32'h0001_0000;
            4'h2: s_axi_rdata <= 32'h0003_1010;
            4'h3: s_axi_rdata <= FEATURE_BYTES;
            4'h4: s_axi_rdata <= MOST_STEPS;
            4'h5: s_axi_rdata <= descriptor;
            4'h7: s_axi_rdata <= {29'd0, errors != 3'd0, done, busy || start};
            4'h8: s_axi_rdata <= {29'd0, errors};
            4'h9: s_axi_rdata <= cycles;
            4'ha: s_axi_rdata <= steps;
            4'hb: s_axi_rdata <= beats_read;
            4'hc: s_axi_rdata <= beats_written;
            4'hd: s_axi_rdata <= descriptors_done;
            default: s_axi_rdata <= 32'd0;
        endcase
    end

    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, s_axi_awaddr[1:0], s_axi_araddr[1:0]};
    // verilator lint_on UNUSEDSIGNAL
endmodule

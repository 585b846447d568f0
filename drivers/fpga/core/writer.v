// Writes a stream to memory from an address on, in whole bursts of 16 beats of 8 bytes.
module writer (
    input  wire        clock,
    input  wire        reset,
    input  wire        start,
    input  wire [31:0] address,
    input  wire        push,
    input  wire [63:0] beat,
    output wire        almost_full,
    output wire        idle,
    output wire        failed,
    output reg  [31:0] m_axi_awaddr,
    output reg         m_axi_awvalid,
    input  wire        m_axi_awready,
    output wire [63:0] m_axi_wdata,
    output wire        m_axi_wlast,
    output reg         m_axi_wvalid,
    input  wire        m_axi_wready,
    input  wire [1:0]  m_axi_bresp,
    input  wire        m_axi_bvalid,
    output wire        m_axi_bready
);
    localparam [6:0] BURST = 7'd16;
    // Room for what is still under way in the requantiser when the drain stops.
    localparam [6:0] ALMOST_FULL = 7'd40;

    reg [63:0] fifo[0:63];
    reg [5:0]  head, tail;
    reg [6:0]  count;
    reg [3:0]  sent;
    reg [31:0] next;
    reg        bursting;
    reg [2:0]  unanswered;

    wire wrote    = m_axi_wvalid && m_axi_wready;
    wire begins   = !bursting && !m_axi_awvalid && count >= BURST && unanswered != 3'd7;
    wire answered = m_axi_bvalid;

    assign m_axi_wdata  = fifo[tail];
    assign m_axi_wlast  = sent == 4'd15;
    assign m_axi_bready = 1'b1;
    assign almost_full  = count >= ALMOST_FULL;
    assign idle         = count == 7'd0 && !bursting && !m_axi_awvalid && unanswered == 3'd0;
    assign failed       = m_axi_bvalid && m_axi_bresp != 2'b00;

    always @(posedge clock) if (push) fifo[head] <= beat;

    always @(posedge clock) begin
        if (reset) begin
            {head, tail, count, sent, unanswered} <= 26'd0;
            {bursting, m_axi_awvalid, m_axi_wvalid} <= 3'd0;
            m_axi_awaddr <= 32'd0;
            next <= 32'd0;
        end else begin
            head       <= head + {5'd0, push};
            tail       <= tail + {5'd0, wrote};
            count      <= count + {6'd0, push} - {6'd0, wrote};
            unanswered <= unanswered + {2'd0, begins} - {2'd0, answered};
            if (start) next <= address;
            if (m_axi_awready) m_axi_awvalid <= 1'b0;
            if (begins) begin
                m_axi_awaddr  <= next;
                next          <= next + 32'd128;
                m_axi_awvalid <= 1'b1;
                m_axi_wvalid  <= 1'b1;
                bursting      <= 1'b1;
                sent          <= 4'd0;
            end else if (wrote) begin
                sent <= sent + 4'd1;
                if (m_axi_wlast) begin
                    m_axi_wvalid <= 1'b0;
                    bursting     <= 1'b0;
                end
            end
        end
    end
endmodule
